"""A lake of Parquet partitions, read by DuckDB in this process.

Table `ds.t` is the directory `ds/t`, a partition `<column>=<value>/*.parquet` in it. Files of other names,
such as a write that is not finished, are not seen. A table without a directory has no rows yet.
"""

from __future__ import annotations

import datetime as dt
import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import duckdb

from backfilld.daemon.warehouses.adapter import Purpose, WarehouseError
from backfilld.daemon.warehouses.backend import QueryError, QueryHooks, Row
from backfilld.daemon.warehouses.lake.dialect import transpile
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

_OF_THE_QUESTION = (duckdb.BinderException, duckdb.CatalogException, duckdb.ParserException)
"""Errors that no file is to blame for: a column or a function that there is not."""

_TRIES = 3
"""A file may vanish between its listing and its reading, when a job replaces its partition."""


class Lake:
    """The backend over a lake directory. Safe to call from several threads."""

    def __init__(self, root: Path, *, timeout: float, meter: QueryHooks) -> None:
        self.root = root
        self._timeout = timeout
        self._meter = meter
        self._lock = threading.Lock()
        self._connection: duckdb.DuckDBPyConnection | None = None

    def query(self, question: Query, *, purpose: Purpose) -> list[Row]:
        """The rows of the answer; nothing is read but the files of the dates asked about.

        Raises:
            Refusal: a column, a file or a predicate is not what the question takes it for; or it is too slow.
            WarehouseError: the lake is not there.
        """
        if not os.path.isdir(self.root):
            self._meter.on_error()
            raise WarehouseError(
                f"there is no lake at {self.root}, or it may not be reached; check warehouse.path"
            )
        try:
            for _ in range(_TRIES - 1):
                try:
                    return self._answer(question, purpose)
                except duckdb.IOException:
                    continue
            return self._answer(question, purpose)
        except (duckdb.Error, OSError, QueryError) as error:
            self._meter.on_error()
            raise self._meant(error) from error

    def price(self, question: Query) -> int:
        """Reading a lake costs nothing."""
        del question
        return 0

    def close(self) -> None:
        """Let go of DuckDB."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = None

    def _answer(self, question: Query, purpose: Purpose) -> list[Row]:
        selects: list[str] = []
        params: dict[str, Any] = {}
        for branch in question.branches:
            carried = transpile(branch.sql)
            if unknown := sorted(carried.params - question.params.keys()):
                known = ", ".join(f"@{name}" for name in sorted(question.params))
                raise QueryError(f"there is no parameter @{unknown[0]}; write one of {known}")
            files = {table: self._files(table, branch) for table in carried.tables}
            if not all(files.values()):
                continue  # none of its tables' partitions is there: no rows
            sources: dict[str, str] = {}
            for table, paths in files.items():
                slot = f"files{sum(name.startswith('files') for name in params)}"
                params[slot] = paths
                sources[table] = _source(slot, branch.slice)
            selects.append(carried.with_tables(sources))
            params |= {name: _listed(question.params[name]) for name in carried.params}
        return self._fetch(" UNION ALL ".join(selects), params, purpose) if selects else []

    def _fetch(self, sql: str, params: Mapping[str, Any], purpose: Purpose) -> list[Row]:
        self._meter.on_query(purpose, 0)
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

    def _files(self, table: str, branch: Select) -> list[str]:
        """The files of a table that a branch needs.

        Raises:
            Refusal: a query that does not name its dates reads a table that has no files.
        """
        directory = self.root.joinpath(*table.split("."))
        if branch.slice is not None:
            names = (f"{branch.slice.column}={date}" for date in branch.slice.dates)
            return [path for name in names for path in _parquet(directory / name)]
        files = sorted(all_parquet(directory))
        if not files:
            raise QueryError(f"{table} has no files in the lake", unseen=True)
        return files

    def _meant(self, error: Exception) -> Exception:
        """What an error means: a refusal of this question, save where DuckDB itself gave up."""
        if isinstance(error, QueryError):
            return error
        if isinstance(error, duckdb.InterruptException):
            return QueryError(f"the lake did not answer within {self._timeout:g} s", unseen=True)
        if isinstance(error, duckdb.FatalException | duckdb.InternalException):
            self.close()  # it answers nothing more; the next question opens another
            return WarehouseError(f"DuckDB gave up: {first_line(str(error))}")
        unseen = isinstance(error, PermissionError)
        in_a_file = not unseen and not isinstance(error, _OF_THE_QUESTION)
        return QueryError(str(error), unseen=unseen, of_these_dates=True, in_a_file=in_a_file)


def _connected(root: Path) -> duckdb.DuckDBPyConnection:
    """A database in memory that reads below `root` and nowhere else."""
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


def _listed(value: dt.date | tuple[dt.date, ...] | tuple[str, ...]) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _parquet(directory: Path) -> list[str]:
    """The finished files of a partition; none where there is no such directory."""
    try:
        with os.scandir(directory) as entries:
            return sorted(entry.path for entry in entries if _finished(entry.name))
    except FileNotFoundError:
        return []


def all_parquet(directory: Path) -> Iterator[str]:
    """The finished files anywhere below a directory."""
    for parent, _, names in os.walk(directory):
        yield from (os.path.join(parent, name) for name in names if _finished(name))


def _finished(name: str) -> bool:
    return name.endswith(".parquet") and not name.startswith((".", "_"))
