"""A lake of Parquet partitions, read by DuckDB in this process.

Table `ds.t` is the directory `ds/t`, a partition `<column>=<value>/*.parquet` in it. Files of other names,
such as an unfinished write, are ignored. A table without a directory has no rows yet.
"""

from __future__ import annotations

import datetime as dt
import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import duckdb

from backfilld.daemon.warehouses.adapter import Purpose, QueryError, QueryHooks, WarehouseError
from backfilld.daemon.warehouses.lake.dialect import render
from backfilld.daemon.warehouses.sql.backend import Row
from backfilld.daemon.warehouses.sql.queries import PartitionFilter, Query, Select
from backfilld.state.formatting import first_line

_SETTINGS: Mapping[str, str | bool | int] = {
    "threads": 2,
    "memory_limit": "512MB",
    "autoinstall_known_extensions": False,
    "preserve_insertion_order": False,
    # A file that was replaced must not be answered from its predecessor's pages.
    "enable_external_file_cache": False,
}

_QUERY_ERRORS = (duckdb.BinderException, duckdb.CatalogException, duckdb.ParserException)
"""Errors that no file causes: a column or a function that does not exist."""

_TRIES = 3
"""A file may vanish between its listing and its reading, when a job replaces its partition."""


class Lake:
    """The backend over a lake directory. Safe to call from several threads."""

    def __init__(self, root: Path, *, timeout: float, hooks: QueryHooks) -> None:
        self.root = root
        self._timeout = timeout
        self._hooks = hooks
        self._lock = threading.Lock()
        self._connection: duckdb.DuckDBPyConnection | None = None

    def query(self, query: Query, *, purpose: Purpose) -> list[Row]:
        """The rows of the answer; only files of the query's dates are read.

        Raises:
            QueryError: a column, a file or a predicate is not what the query needs; or it is too slow.
            WarehouseError: the lake is not there.
        """
        if not os.path.isdir(self.root):
            self._hooks.on_error()
            raise missing_lake(self.root)
        try:
            for _ in range(_TRIES - 1):
                try:
                    return self._answer(query, purpose)
                except duckdb.IOException:
                    continue
            return self._answer(query, purpose)
        except (duckdb.Error, OSError, QueryError) as error:
            self._hooks.on_error()
            raise self._translate_error(error) from error

    def estimate_bytes(self, query: Query) -> int:
        """0: reading a lake costs nothing."""
        del query
        return 0

    def close(self) -> None:
        """Close DuckDB. Idempotent."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = None

    def _answer(self, query: Query, purpose: Purpose) -> list[Row]:
        selects: list[str] = []
        params: dict[str, Any] = {}
        for select in query.selects:
            rendered = render(select.statement)
            if unknown := sorted(rendered.params - query.params.keys()):
                known = ", ".join(f"@{name}" for name in sorted(query.params))
                raise QueryError(f"there is no parameter @{unknown[0]}; write one of {known}")
            files = {table: self._files(table, select) for table in rendered.tables}
            if not all(files.values()):
                continue  # no partition of its tables is there: no rows
            sources: dict[str, str] = {}
            for table, paths in files.items():
                slot = f"files{sum(name.startswith('files') for name in params)}"
                params[slot] = paths
                sources[table] = _source(slot, select.partitions)
            selects.append(rendered.with_tables(sources))
            params |= {name: _as_list(query.params[name]) for name in rendered.params}
        return self._fetch(" UNION ALL ".join(selects), params, purpose) if selects else []

    def _fetch(self, sql: str, params: Mapping[str, Any], purpose: Purpose) -> list[Row]:
        self._hooks.on_query(purpose, 0)
        with self._cursor() as cursor:
            guard = threading.Timer(self._timeout, cursor.interrupt)
            guard.start()
            try:
                cursor.execute(sql, params)
                names = [column[0] for column in cursor.description or ()]
                return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
            finally:
                guard.cancel()

    def _cursor(self) -> duckdb.DuckDBPyConnection:
        with self._lock:
            if self._connection is None:
                self._connection = _connected(self.root)
            return self._connection.cursor()

    def _files(self, table: str, select: Select) -> list[str]:
        """The files of a table that a SELECT needs.

        Raises:
            QueryError: a query that does not name its dates reads a table that has no files.
        """
        directory = self.root.joinpath(*table.split("."))
        if select.partitions is not None:
            column, dates = select.partitions.column, select.partitions.dates
            return [path for date in dates for path in partition_files(self.root, table, column, date)]
        files = sorted(all_parquet(directory))
        if not files:
            raise QueryError(f"{table} has no files in the lake", inaccessible=True)
        return files

    def _translate_error(self, error: Exception) -> Exception:
        """An error as a QueryError, or a WarehouseError where DuckDB itself failed."""
        if isinstance(error, QueryError):
            return error
        if isinstance(error, duckdb.InterruptException):
            return QueryError(f"the lake did not answer within {self._timeout:g} s", inaccessible=True)
        if isinstance(error, duckdb.FatalException | duckdb.InternalException):
            self.close()  # it answers nothing more; the next query opens another
            return WarehouseError(f"DuckDB gave up: {first_line(str(error))}")
        inaccessible = isinstance(error, PermissionError)
        file_scoped = not inaccessible and not isinstance(error, _QUERY_ERRORS)
        return QueryError(str(error), inaccessible=inaccessible, date_scoped=True, file_scoped=file_scoped)


def missing_lake(root: Path) -> WarehouseError:
    """The error for a lake without a directory."""
    return WarehouseError(f"there is no lake at {root}, or it may not be reached; check warehouse.path")


def _connected(root: Path) -> duckdb.DuckDBPyConnection:
    """A database in memory that may read below `root` and nowhere else."""
    connection = duckdb.connect(":memory:", config=dict(_SETTINGS))
    connection.execute(
        "SET TimeZone = 'UTC'"
    )  # not among the settings: older versions know no zones yet there
    connection.execute("SET allowed_directories = [$root]", {"root": str(root)})
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def _source(slot: str, part: PartitionFilter | None) -> str:
    types = f", hive_types = {{'{part.column}': DATE}}" if part else ""
    return f"read_parquet(${slot}, hive_partitioning = true{types}, union_by_name = true)"


def _as_list(value: dt.date | tuple[dt.date, ...] | tuple[str, ...]) -> Any:
    return list(value) if isinstance(value, tuple) else value


def partition_files(root: Path, table: str, column: str, date: dt.date) -> list[str]:
    """The finished files of a partition; none where there is no such directory."""
    try:
        with os.scandir(root.joinpath(*table.split("."), f"{column}={date}")) as entries:
            return sorted(entry.path for entry in entries if _finished(entry.name))
    except FileNotFoundError:
        return []


def all_parquet(directory: Path) -> Iterator[str]:
    """The finished files anywhere below a directory."""
    for parent, _, names in os.walk(directory):
        yield from (os.path.join(parent, name) for name in names if _finished(name))


def _finished(name: str) -> bool:
    return name.endswith(".parquet") and not name.startswith((".", "_"))
