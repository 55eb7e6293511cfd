"""The columns of files: those that other files of their table have, and that of their dates."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import duckdb

from backfilld.daemon.warehouses.adapter import QueryError
from backfilld.daemon.warehouses.lake.regular_files import special_kind
from backfilld.daemon.warehouses.lake.table_scan import all_files
from backfilld.daemon.warehouses.lake.table_scan_model import TableFiles

_SAMPLE = 64
"""Files of a table that are opened for their columns, besides those of the query."""
_UNTYPED = '"NULL"'
"""DuckDB's name for the type of a NULL that has none. Nearly all functions take one."""

AbsentColumns = Sequence[tuple[str, Sequence[str]]]
"""Columns that only other files of a table have, each with types for its NULL, the best one first."""


def absent_columns(directory: Path, located: TableFiles) -> AbsentColumns:
    """Columns that other files of a table have, each with their types for it: the most frequent one first.

    The last one is that of a NULL without a type: a file with a mistyped column must not decide for others.
    Files that are spread evenly over the table's paths are opened. Files of an Iceberg table have none: its
    metadata name all columns.

    Raises:
        QueryError: the table is of a format that is not read.
        OSError: a directory cannot be read.
    """
    if located.schema or not located.files:
        return ()
    others = all_files(directory)[::-1]
    kinds: defaultdict[str, Counter[str]] = defaultdict(Counter)
    names: dict[str, str] = {}
    with duckdb.connect() as connection:
        present = {name.lower() for path in located.files for name, _ in _columns(connection, path)}
        for path in others[:: -(-len(others) // _SAMPLE) or 1]:
            for name, kind in _columns(connection, path):
                names.setdefault(name.lower(), name)
                kinds[name.lower()][kind] += 1
    return [
        (name, [*(kind for kind, _ in kinds[lower].most_common()), _UNTYPED])
        for lower, name in names.items()
        if lower not in present
    ]


def with_nulls(located: TableFiles, absent: AbsentColumns, number: int) -> TableFiles:
    """The files with their absent columns, each of its type of that number, or of its last one."""
    return replace(located, absent=[(name, kinds[min(number, len(kinds) - 1)]) for name, kinds in absent])


def _columns(connection: duckdb.DuckDBPyConnection, path: str) -> Sequence[tuple[str, str]]:
    """The name and type of each column of a file; of a damaged one, which the query itself names, none."""
    if special_kind(path):
        return ()
    with suppress(duckdb.Error):
        relation = connection.read_parquet(path, hive_partitioning=True)
        return [(name, str(kind)) for name, kind in zip(relation.columns, relation.types, strict=True)]
    return ()


def require_date_columns(flat_columns: Mapping[str, str], problem: str) -> None:
    """Check the date columns of tables whose directories name no dates, each with a file of its table.

    Raises:
        QueryError: one is no DATE, or is missing by `problem`, which is an error of DuckDB.
    """
    for column, path in flat_columns.items():
        _require_dates_in(path, column)
        if f'"{column}" not found' in problem:
            missing = f"{problem} No directory is named as {column}=2024-03-01 either; correct date_column"
            raise QueryError(missing, permanent=True)


def _require_dates_in(path: str, column: str) -> None:
    """Raise a QueryError where the date column of a file has texts or numbers."""
    with duckdb.connect() as connection:
        kinds = {name.lower(): kind for name, kind in _columns(connection, path)}
    kind = kinds.get(column.lower(), "DATE")
    if not kind.startswith(("DATE", "TIMESTAMP")):
        remedy = f"write {column} as a DATE, or correct date_column"
        raise QueryError(
            f"its dates must be of the type DATE, not {kind}; {remedy}",
            date_scoped=True,
            file_scoped=True,
            permanent=True,
        )
