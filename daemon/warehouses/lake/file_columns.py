"""The columns of files: those that other files of their table have, and that of their dates."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import duckdb

from backfilld.daemon.warehouses.adapter import QueryError
from backfilld.daemon.warehouses.lake.regular_files import special_kind
from backfilld.daemon.warehouses.lake.table_scan import all_files
from backfilld.daemon.warehouses.lake.table_scan_model import TableFiles

_SAMPLE = 64
"""Files of a table that are opened for their columns, besides those of the query."""


def absent_columns(directory: Path, located: TableFiles) -> Sequence[tuple[str, str]]:
    """Names and types, by the files of a table that are spread evenly over its paths, the last one first.

    Files of an Iceberg table have none: its metadata name all columns.

    Raises:
        QueryError: the table is of a format that is not read.
        OSError: a directory cannot be read.
    """
    if located.schema or not located.files:
        return ()
    others = all_files(directory)[::-1]
    with duckdb.connect() as connection:
        present = _columns(connection, located.files)
        spread = _columns(connection, others[:: -(-len(others) // _SAMPLE) or 1])
    return [(name, kind) for lower, (name, kind) in spread.items() if lower not in present]


def _columns(connection: duckdb.DuckDBPyConnection, files: Iterable[str]) -> dict[str, tuple[str, str]]:
    """The name and type of each column, by its name in lower case; the first file that has it decides."""
    columns: dict[str, tuple[str, str]] = {}
    for path in files:
        if special_kind(path):  # the query that reads it names it
            continue
        with suppress(duckdb.Error):  # a damaged file is named by the query that reads it
            relation = connection.read_parquet(path, hive_partitioning=True)
            for name, kind in zip(relation.columns, relation.types, strict=True):
                columns.setdefault(name.lower(), (name, str(kind)))
    return columns


def require_dates_in(path: str, column: str) -> None:
    """Raise a QueryError where the date column of a file has texts or numbers."""
    with duckdb.connect() as connection:
        _, kind = _columns(connection, [path]).get(column.lower(), ("", "DATE"))
    if not kind.startswith(("DATE", "TIMESTAMP")):
        remedy = f"write {column} as a DATE, or correct date_column"
        raise QueryError(
            f"its dates must be of the type DATE, not {kind}; {remedy}",
            date_scoped=True,
            file_scoped=True,
            permanent=True,
        )
