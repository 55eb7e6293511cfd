"""Delta tables: their log says which files are part of the table, by the library of the extra `delta`."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from backfilld.daemon.warehouses.adapter import QueryError

_UNREAD = ("deletionVectors", "columnMapping")
"""Features of a table with which its files alone do not say what its rows are."""
_MAPPING_MODE = "delta.columnMapping.mode"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeltaFile:
    """A file of the current version, with its values of the partition columns by name in lower case."""

    path: str
    partition: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeltaFiles:
    """The current version of a Delta table."""

    partition_columns: Sequence[str]
    """In lower case."""
    files: Sequence[DeltaFile]


def is_delta(directory: Path) -> bool:
    """Whether a directory is a Delta table."""
    return (directory / "_delta_log").is_dir()


def read(directory: Path) -> DeltaFiles:
    """The files of the current version, by the table's log.

    Raises:
        QueryError: the library is not installed, or the log cannot be read by it.
    """
    if find_spec("deltalake") is None:
        raise QueryError(f"{directory} is a Delta table; install backfilld[delta] to read it", permanent=True)
    from deltalake import DeltaTable  # noqa: PLC0415  an optional extra
    from deltalake.exceptions import DeltaError  # noqa: PLC0415

    try:
        table = DeltaTable(str(directory))
        metadata = table.metadata()
        features = {*(table.protocol().reader_features or ()), *_older_features(metadata.configuration)}
        _require_plain_files(directory, features)
        columns = [column.lower() for column in metadata.partition_columns]
        actions: Any = table.get_add_actions(flatten=True)
        return DeltaFiles(partition_columns=columns, files=_files(directory, actions))
    except (DeltaError, OSError, ValueError) as error:
        raise QueryError(f"the log of the Delta table {directory} cannot be read: {error}") from error


def _older_features(configuration: Mapping[str, str | None]) -> Iterator[str]:
    """The features that protocols below 3 have by a property of the table, without naming them."""
    if (configuration.get(_MAPPING_MODE) or "none").lower() != "none":
        yield "columnMapping"


def _require_plain_files(directory: Path, features: Collection[str]) -> None:
    for feature in _UNREAD:
        if feature in features:
            message = f"the Delta table {directory} uses {feature}, which is not read; switch it off"
            raise QueryError(message, permanent=True)


def _files(directory: Path, actions: Any) -> list[DeltaFile]:
    """The files by the table of add actions: `path`, and `partition.NAME` for each partition column."""
    prefix = "partition."
    names = [name for name in actions.column_names if name.startswith(prefix)]
    paths = actions.column("path").to_pylist()
    values = {name.removeprefix(prefix).lower(): actions.column(name).to_pylist() for name in names}
    return [
        DeltaFile(
            path=str(directory / unquote(path).removeprefix("file://")),
            partition={name: of_files[number] for name, of_files in values.items()},
        )
        for number, path in enumerate(paths)
    ]
