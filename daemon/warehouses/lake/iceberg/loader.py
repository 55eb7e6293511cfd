"""Loads a snapshot of an Iceberg table with pyiceberg, from the files of its directory alone."""

from __future__ import annotations

import gzip
import json
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pyiceberg.exceptions import ValidationError
from pyiceberg.io import FileIO
from pyiceberg.io.fsspec import FsspecFileIO, FsspecInputFile
from pyiceberg.table.metadata import TableMetadata, TableMetadataUtil
from pyiceberg.table.snapshots import Operation, Snapshot

from backfilld.daemon.warehouses.adapter import QueryError
from backfilld.daemon.warehouses.lake.iceberg.avro_integrity import require_whole
from backfilld.daemon.warehouses.lake.iceberg.columns import columns_of
from backfilld.daemon.warehouses.lake.iceberg.current_metadata import HINT, MetadataFile
from backfilld.daemon.warehouses.lake.iceberg.data_files import (
    IcebergFile,
    changed_files,
    live_files,
    partition_dates,
)
from backfilld.daemon.warehouses.lake.iceberg.local_file_paths import Locations
from backfilld.daemon.warehouses.lake.iceberg.table import Compaction, IcebergTable
from backfilld.state.base_errors import BackfilldError

_NAME_MAPPING = "schema.name-mapping.default"
_GZIP = b"\x1f\x8b"

_DAMAGE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    NotImplementedError,
    SystemError,
    TypeError,
    ValidationError,
    ValueError,
    gzip.BadGzipFile,
    struct.error,
    zlib.error,
)
"""What the library raises for bytes that are no metadata."""


class DamagedError(BackfilldError):
    """Metadata that cannot be decoded: damaged, or not written to its end yet."""


class _LocalFiles(FsspecFileIO):
    """Reads the manifests of a table at their places here; it opens no other file system."""

    def __init__(self, locations: Locations) -> None:
        super().__init__({})
        self._locations = locations

    def new_input(self, location: str) -> FsspecInputFile:
        path = self._locations.path(location)
        require_whole(path)
        return super().new_input(path)


def load(
    directory: Path,
    current: MetadataFile,
    later: Sequence[MetadataFile],
    *,
    known: IcebergTable | None,
) -> IcebergTable:
    """The table by its current metadata file; `later` are files of lower numbers that were written after it.

    `known` is an earlier snapshot, whose manifests need not be read again.

    Raises:
        DamagedError: a file of the metadata cannot be decoded.
        QueryError: it is unclear which metadata is current, or the table has files that are not read.
        OSError: a file of the metadata cannot be read.
    """
    with _damage(current.name):
        document = _document(current)
        metadata = TableMetadataUtil.parse_obj(document)
    for other in later:
        with _damage(other.name):
            _require_older(other, _document(other), current, document)
    if known and known.uuid != str(metadata.table_uuid):
        known = None
    locations = Locations(directory, metadata.location)
    snapshot = metadata.current_snapshot()
    manifests: Mapping[str, Sequence[IcebergFile]] = {}
    compactions: Sequence[Compaction] = ()
    if snapshot:
        with _damage("its manifests"):
            io = _LocalFiles(locations)
            manifests = live_files(metadata, snapshot, io, known=known.manifests if known else {})
            compactions = [*_compactions(metadata, snapshot, io, known=known.compactions if known else ())]
    with _damage(current.name):
        columns = columns_of(metadata.schema(), metadata.schemas)
        names = {column.field_id: name for name, column in columns.items()}
        dated = (
            names.get(field_id) for _, field_id, _ in partition_dates(metadata.spec(), metadata.schema())
        )
        return IcebergTable(
            uuid=str(metadata.table_uuid),
            locations=locations,
            columns=columns,
            partition_column=next(dated, None),
            changed_at=metadata.last_updated_ms / 1000,
            manifests=manifests,
            compactions=compactions,
            has_name_mapping=_NAME_MAPPING in metadata.properties,
            identified=known.identified if known else set(),
        )


@contextmanager
def _damage(name: str) -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        detail = f"{type(error).__name__}: {error}"
        raise DamagedError(f"{name} is damaged, or not written to its end yet: {detail}") from error


def _document(file: MetadataFile) -> dict[str, Any]:
    text = Path(file.path).read_bytes()
    if text.startswith(_GZIP):
        text = gzip.decompress(text)
    document: dict[str, Any] = json.loads(text)
    return document


def _require_older(
    other: MetadataFile, document: Mapping[str, Any], current: MetadataFile, metadata: Mapping[str, Any]
) -> None:
    """Refuse a lower number with a later commit: the table was made anew here, or moved back.

    Raises:
        QueryError: it is one.
    """
    key = "last-updated-ms"
    if document["table-uuid"] != metadata["table-uuid"] or document[key] > metadata[key]:
        raise QueryError(
            f"{other.name} was written after {current.name}, which has a higher number; remove those of the"
            f" former table, or write the name of the current one into {HINT}"
        )


def _compactions(
    metadata: TableMetadata, current: Snapshot, io: FileIO, *, known: Iterable[Compaction]
) -> Iterator[Compaction]:
    """The compactions in the table's history, the latest one first."""
    of_snapshots = {compaction.snapshot_id: compaction for compaction in known}
    snapshot: Snapshot | None = current
    while snapshot:
        number, parent = snapshot.snapshot_id, snapshot.parent_snapshot_id
        if number in of_snapshots:
            yield of_snapshots[number]
        elif _changes_no_rows(snapshot):
            added, removed = changed_files(metadata, snapshot, io)
            yield Compaction(snapshot_id=number, added=added, removed=removed)
        snapshot = metadata.snapshot_by_id(parent) if parent is not None else None


def _changes_no_rows(snapshot: Snapshot) -> bool:
    return snapshot.summary is not None and snapshot.summary.operation == Operation.REPLACE
