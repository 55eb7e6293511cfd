"""The files of a snapshot, by its manifests, with the dates whose rows each may have."""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyiceberg.io import FileIO
from pyiceberg.manifest import (
    DataFile,
    DataFileContent,
    FileFormat,
    ManifestEntryStatus,
    ManifestFile,
)
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.snapshots import Snapshot
from pyiceberg.transforms import DayTransform, HourTransform, IdentityTransform
from pyiceberg.types import (
    DateType,
    IcebergType,
    IntegerType,
    LongType,
    NestedField,
    StringType,
    TimestampType,
    TimestamptzType,
)

from backfilld.daemon.warehouses.adapter import QueryError
from backfilld.daemon.warehouses.lake.date_names import date_of

_EPOCH = dt.date(1970, 1, 1)
_UNITS: Mapping[type[IcebergType], int] = {
    DateType: 1,
    TimestampType: 86_400_000_000,
    TimestamptzType: 86_400_000_000,
}
"""How many units of a type's bounds are a day."""


@dataclass(frozen=True, slots=True)
class DateSpan:
    """The first and the last date whose rows a file may have; the first after the last for none."""

    first: dt.date
    last: dt.date
    is_partition: bool
    """Whether it is the date of the file's partition."""

    def meets(self, dates: Sequence[dt.date]) -> bool:
        """Whether one of the dates, which are in ascending order, is in the span."""
        place = bisect_left(dates, self.first)
        return place < len(dates) and dates[place] <= self.last


_NO_DATE = DateSpan(dt.date.max, dt.date.min, is_partition=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class IcebergFile:
    """A data file or a file of deleted positions."""

    name: str
    """Its name in the manifests; it is never given to another file."""
    is_delete: bool
    spans: Mapping[int, DateSpan]
    """By the field id of columns of dates and times."""

    def may_have(self, field_id: int | None, dates: Sequence[dt.date]) -> bool:
        """Whether it may have rows of one of the dates, which are in ascending order."""
        span = None if field_id is None else self.spans.get(field_id)
        return span is None or span.meets(dates)


def live_files(
    metadata: TableMetadata, snapshot: Snapshot, io: FileIO, *, known: Mapping[str, Sequence[IcebergFile]]
) -> Mapping[str, Sequence[IcebergFile]]:
    """The files of a snapshot by the name of their manifest; `known` are those of manifests read before.

    Raises:
        QueryError: it has a file that is not Parquet, or deletes rows by their values.
        ValueError: a manifest has other files than its list says.
    """
    reader = _FileReader(metadata)
    manifests = snapshot.manifests(io)
    total = snapshot.summary.additional_properties.get("total-data-files") if snapshot.summary else None
    if not manifests and total not in (None, "0"):
        raise ValueError(f"the snapshot has {total} data files, but its list of manifests is empty")
    files: dict[str, Sequence[IcebergFile]] = {}
    for manifest in manifests:
        of_manifest = known.get(manifest.manifest_path)
        if of_manifest is None:
            found = [entry.data_file for entry in manifest.fetch_manifest_entry(io)]
            _require_count(manifest, len(found))
            for file in found:
                _require_readable(file)
            of_manifest = [reader.file(file) for file in found]
        files[manifest.manifest_path] = of_manifest
    return files


def changed_files(
    metadata: TableMetadata, snapshot: Snapshot, io: FileIO
) -> tuple[list[IcebergFile], list[IcebergFile]]:
    """The files that a snapshot added, and those that it removed."""
    reader = _FileReader(metadata)
    changed: Mapping[ManifestEntryStatus, list[IcebergFile]] = {status: [] for status in ManifestEntryStatus}
    for manifest in snapshot.manifests(io):
        if manifest.added_snapshot_id != snapshot.snapshot_id:
            continue
        for entry in manifest.fetch_manifest_entry(io, discard_deleted=False):
            changed[entry.status].append(reader.file(entry.data_file))
    return changed[ManifestEntryStatus.ADDED], changed[ManifestEntryStatus.DELETED]


def _require_count(manifest: ManifestFile, found: int) -> None:
    added, existing = manifest.added_files_count, manifest.existing_files_count
    if added is not None and existing is not None and added + existing != found:
        raise ValueError(f"{manifest.manifest_path} has {found} files, not {added + existing}")


class _FileReader:
    """Reads the files of a table from the rows of its manifests."""

    def __init__(self, metadata: TableMetadata) -> None:
        schema = metadata.schema()
        self._times = {
            field.field_id: _UNITS[type(field.field_type)] for field in schema.fields if _has_bounds(field)
        }
        self._partitions = {
            number: [*partition_dates(spec, schema)] for number, spec in metadata.specs().items()
        }

    def file(self, file: DataFile) -> IcebergFile:
        """The file by its row of a manifest."""
        spans = {
            field_id: span
            for field_id, unit in self._times.items()
            if (span := _bounds(file, field_id, unit))
        }
        for position, field_id, day_of in self._partitions[file.spec_id]:
            value = file.partition[position]
            date = None if value is None else day_of(value)
            if date is not None:
                spans[field_id] = DateSpan(date, date, is_partition=True)
            elif value is None:
                spans[field_id] = _NO_DATE
        return IcebergFile(
            name=file.file_path,
            is_delete=file.content != DataFileContent.DATA,
            spans=spans,
        )


def _require_readable(file: DataFile) -> None:
    """Refuse what would be counted wrong.

    Raises:
        QueryError: DuckDB cannot read the file, or it deletes rows by their values.
    """
    if file.content == DataFileContent.EQUALITY_DELETES:
        raise QueryError("it has equality deletes, which are not read; compact it")
    if file.file_format != FileFormat.PARQUET:
        kind = "deletion vectors" if file.content == DataFileContent.POSITION_DELETES else "files"
        raise QueryError(
            f"it has {kind} of the format {file.file_format.value}, which is not read; write Parquet"
        )
    if file.key_metadata is not None:
        raise QueryError("its files are encrypted, which is not read; write them without encryption")


def _has_bounds(field: NestedField) -> bool:
    return type(field.field_type) in _UNITS


def _bounds(file: DataFile, field_id: int, unit: int) -> DateSpan | None:
    """The span between the least and the greatest value of a column; None where they are not known."""
    low, high = ((bounds or {}).get(field_id) for bounds in (file.lower_bounds, file.upper_bounds))
    if low is None or high is None:
        return None
    first, last = (_day(int.from_bytes(value, "little", signed=True) // unit) for value in (low, high))
    return DateSpan(first, last, is_partition=False) if first and last else None


def partition_dates(
    spec: PartitionSpec, schema: Schema
) -> Iterator[tuple[int, int, Callable[[Any], dt.date | None]]]:
    """The parts of a partition that name a date: position, field id of the column, date of a value."""
    types = {field.field_id: type(field.field_type) for field in schema.fields}
    for position, part in enumerate(spec.fields):
        kind = types.get(part.source_id)
        match part.transform:
            case DayTransform():
                yield position, part.source_id, _day
            case HourTransform():
                yield position, part.source_id, lambda hours: _day(hours // 24)
            case IdentityTransform() if kind is DateType:
                yield position, part.source_id, _day
            case IdentityTransform() if kind in (StringType, IntegerType, LongType):
                yield position, part.source_id, lambda value: date_of(str(value))
            case _:
                pass


def _day(days: int) -> dt.date | None:
    """The date so many days after 1970-01-01; None outside of the years that Python has."""
    try:
        return _EPOCH + dt.timedelta(days=days)
    except OverflowError:
        return None
