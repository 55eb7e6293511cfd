"""A lake of Parquet partitions, read by DuckDB in this process.

Table `ds.t` is the directory `ds/t`; `layout` says where the files of a date lie in it. A table without a
directory has no rows yet.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cache, partial
from itertools import chain, count
from pathlib import Path
from typing import Any, TypeVar

import duckdb

from backfilld.daemon.warehouses.adapter import Purpose, QueryError, QueryHooks, WarehouseError
from backfilld.daemon.warehouses.lake.bigquery_transpiler.quoting_and_refusal import quoted, quoted_text
from backfilld.daemon.warehouses.lake.confined_database import connected
from backfilld.daemon.warehouses.lake.file_columns import (
    AbsentColumns,
    absent_columns,
    require_date_columns,
    with_nulls,
)
from backfilld.daemon.warehouses.lake.hung_queries import HungQueries
from backfilld.daemon.warehouses.lake.iceberg.current_metadata import is_iceberg
from backfilld.daemon.warehouses.lake.layout import locate, read_layout
from backfilld.daemon.warehouses.lake.query_errors import named_files, query_error
from backfilld.daemon.warehouses.lake.regular_files import require_regular_files
from backfilld.daemon.warehouses.lake.settings import Dialect, missing_directory
from backfilld.daemon.warehouses.lake.sql_compiler import render
from backfilld.daemon.warehouses.lake.table_scan import source_of, whole_table
from backfilld.daemon.warehouses.lake.table_scan_model import TableFiles
from backfilld.daemon.warehouses.sql.backend_interface import Row
from backfilld.daemon.warehouses.sql.date_predicates import as_list
from backfilld.daemon.warehouses.sql.duckdb_session import HungError, fetch
from backfilld.daemon.warehouses.sql.evidence_queries import Query, Select
from backfilld.state.formatting import first_line

_TRIES = 3
"""A file may vanish between its listing and its reading, when a job replaces its partition."""

_TYPE_ERRORS = (duckdb.BinderException, duckdb.ConversionException)
"""What SQL of the pipeline file raises on a column of a type that it was not written for."""

_MISSING_COLUMN = re.compile('column|Referenced table ".+" not found')
"""What DuckDB says of a column that is not there; of `s.v` it takes `s` for a table."""

_Answer = TypeVar("_Answer")


@dataclass(slots=True)
class _Plan:
    """One query for DuckDB."""

    selects: list[str] = field(default_factory=list)
    params: dict[str, Any] = field(default_factory=dict)
    views: set[tuple[str, str]] = field(default_factory=set)
    """The tables that SQL of the pipeline file reads, as (schema, name)."""
    files: list[Sequence[str]] = field(default_factory=list)
    """The files of each table."""
    flat_columns: dict[str, str] = field(default_factory=dict)
    """The date columns of tables whose directories name no dates, each with a file of its table."""

    def source(self, located: TableFiles, column: str) -> str:
        """The rows of a table's files, with the date column; their paths become a parameter.

        Raises:
            QueryError: one of them is no regular file.
        """
        require_regular_files((*located.files, *located.deletes))
        number = sum(name.startswith("files") for name in self.params)
        if not located.schema:  # whose files may have other columns than each other
            self.files.append(located.files)
        if located.kind == "column" and column:
            self.flat_columns[column] = located.files[0]

        def bind(name: str, values: Sequence[Any]) -> str:
            self.params[f"{name}{number}"] = list(values)
            return f"${name}{number}"

        return source_of(located, bind, column)

    @property
    def sql(self) -> str:
        """The whole text."""
        return " UNION ALL ".join(self.selects)


class Lake:
    """The backend over a lake directory. Safe to call from several threads."""

    def __init__(
        self,
        root: Path,
        *,
        dialect: Dialect,
        date_columns: frozenset[str],
        timeout: float,
        hooks: QueryHooks,
    ) -> None:
        """`dialect` is that of the SQL in the pipeline file, `date_columns` all of its columns of dates."""
        self.root = root
        self._dialect: Dialect = dialect
        self._date_columns = date_columns
        self._timeout = timeout
        self._hooks = hooks
        self._lock = threading.Lock()
        self._hung = HungQueries()
        self._connection: duckdb.DuckDBPyConnection | None = None

    def query(self, query: Query, *, purpose: Purpose) -> list[Row]:
        """The rows of the answer; only files of the query's dates are read.

        Raises:
            QueryError: a column, a file or a predicate is not what the query needs; or it is too slow.
            WarehouseError: the lake is not there.
        """
        return self._answered(lambda: self._answer(query, purpose))

    def check(self, query: Query) -> None:
        """Check the query against the files of its dates, or the newest ones of its tables.

        Raises:
            QueryError: a column or a predicate is not what the query needs.
            WarehouseError: the lake is not there.
        """
        self._answered(lambda: self._explain(query))

    def _answered(self, ask: Callable[[], _Answer]) -> _Answer:
        """An answer of DuckDB, asked again where a file has just been replaced."""
        if not os.path.isdir(self.root):
            self._hooks.on_error()
            raise missing_lake(self.root)
        try:
            for _ in range(_TRIES - 1):
                try:
                    return ask()
                except duckdb.IOException:
                    continue
            return ask()
        except (duckdb.Error, OSError, QueryError) as error:
            self._hooks.on_error()
            raise self._translate_error(error) from error

    def estimate_bytes(self, query: Query) -> int:
        """0: reading a lake costs nothing."""
        del query
        return 0

    def close(self) -> None:
        """Close DuckDB, once no query is on its way. Idempotent."""
        with self._lock:
            self._connection = None  # `close` would wait for a query, which may hang, or fail

    def _answer(self, query: Query, purpose: Purpose) -> list[Row]:
        return self._send(query, self._files, lambda cursor, plan: self._fetch(cursor, plan, purpose)) or []

    def _explain(self, query: Query) -> None:
        self._send(
            query,
            self._some_files,
            lambda cursor, plan: fetch(cursor, f"EXPLAIN {plan.sql}", plan.params, self._timeout),
        )

    def _send(
        self,
        query: Query,
        files_of: Callable[[str, Select], TableFiles],
        ask: Callable[[duckdb.DuckDBPyConnection, _Plan], _Answer],
    ) -> _Answer | None:
        """An answer of DuckDB; None where no table of the query has files.

        A column that the files of a date do not have, and other files of their table have, is NULL: an
        answer must not depend on which dates are queried together.
        """
        plan = self._plan(query, files_of)
        if not plan.selects:
            return None
        with named_files(plan.files if len(plan.selects) == 1 else ()):
            try:
                return self._in_session(plan, ask)
            except duckdb.BinderException as error:
                text = first_line(str(error))
                require_date_columns(plan.flat_columns, text)
                if not _MISSING_COLUMN.search(text):
                    raise
                failure: duckdb.Error = error
                for number, widened in enumerate(self._widened(query, files_of, plan)):
                    try:
                        return self._in_session(widened, ask)
                    except _TYPE_ERRORS as of_type:
                        failure = failure if number else of_type
                raise failure from error

    def _widened(
        self, query: Query, files_of: Callable[[str, Select], TableFiles], plan: _Plan
    ) -> Iterator[_Plan]:
        """The plan with the columns that only other files have, once for each type that those give them."""

        @cache
        def located(table: str, select: Select) -> tuple[TableFiles, AbsentColumns]:
            files = files_of(table, select)
            return files, absent_columns(self.root.joinpath(*table.split(".")), files)

        def with_type(number: int, table: str, select: Select) -> TableFiles:
            return with_nulls(*located(table, select), number)

        for number in count():
            widened = self._plan(query, partial(with_type, number))
            if widened.selects == plan.selects:
                return  # there are no such columns, or no more types of them
            yield widened
            plan = widened

    def _in_session(self, plan: _Plan, ask: Callable[[duckdb.DuckDBPyConnection, _Plan], _Answer]) -> _Answer:
        """An answer of DuckDB. A query that hangs keeps its session, and the next one opens another database.

        Raises:
            QueryError: the query hangs, or an earlier one of its files.
            WarehouseError: too many queries hang.
        """
        views = self._located_views(plan)
        files = [*chain(*(values for name, values in plan.params.items() if name.startswith("files")))]
        files += chain(*(located.files for located in views.values()))
        self._hung.require_none(files)
        with ExitStack() as session:
            cursor = session.enter_context(connected(self.root) if views else self._cursor())
            try:
                self._create_views(cursor, views)
                return ask(cursor, plan)
            except HungError as error:
                with self._lock:
                    self._hung.add(error.thread, files, (session.pop_all(), self._connection))
                    self._connection = None
                raise

    def _plan(self, query: Query, files_of: Callable[[str, Select], TableFiles]) -> _Plan:
        """The SQL for DuckDB: no SELECT of a table that has no files.

        Raises:
            QueryError: SQL of the pipeline file cannot be used.
        """
        plan = _Plan()
        for select in query.selects:
            rendered = render(select.statement, self._dialect, self._date_columns)
            if unknown := sorted(rendered.params - query.params.keys()):
                known = ", ".join(f"@{name}" for name in sorted(query.params))
                raise QueryError(f"there is no parameter @{unknown[0]}; write one of {known}")
            found = {table: files_of(table, select) for table in rendered.tables}
            if not all(located.files for located in found.values()):
                continue  # no partition of its tables is there: no rows
            columns = {part.table: part.column or "" for part in reversed(select.partitions)}
            sources = {
                table: plan.source(located, columns.get(table, "")) for table, located in found.items()
            }
            plan.selects.append(rendered.with_tables(sources))
            plan.views |= rendered.views
            plan.params |= {name: as_list(query.params[name]) for name in rendered.params}
        return plan

    def _fetch(self, cursor: duckdb.DuckDBPyConnection, plan: _Plan, purpose: Purpose) -> list[Row]:
        self._hooks.on_query(purpose, 0)
        return fetch(cursor, plan.sql, plan.params, self._timeout)

    def _cursor(self) -> duckdb.DuckDBPyConnection:
        with self._lock:
            if self._connection is None:
                self._connection = connected(self.root)
            return self._connection.cursor()

    def _located_views(self, plan: _Plan) -> dict[tuple[str, str], TableFiles]:
        """The files of the tables that SQL of the pipeline file reads.

        Raises:
            QueryError: a table has no files, or one that is no regular file.
        """
        views = {
            (schema, table): whole_table(self.root / schema / table) for schema, table in sorted(plan.views)
        }
        for (schema, table), located in views.items():
            if not located.files:
                raise QueryError(f"{schema}.{table} has no files in the lake", inaccessible=True)
            require_regular_files((*located.files, *located.deletes))
        return views

    def _create_views(
        self, connection: duckdb.DuckDBPyConnection, views: Mapping[tuple[str, str], TableFiles]
    ) -> None:
        """Name the rows of the files as the SQL of the pipeline file does. DuckDB opens the files here too.

        Raises:
            HungError: one of them does not answer.
        """
        for (schema, table), located in views.items():
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(schema)}")
            name = f"{quoted(schema)}.{quoted(table)}"
            view = f"CREATE VIEW {name} AS SELECT * FROM {source_of(located, _literal)}"  # noqa: S608  quoted
            fetch(connection, view, {}, self._timeout)

    def _files(self, table: str, select: Select) -> TableFiles:
        """The files of the dates of a SELECT."""
        directory, part = self.root.joinpath(*table.split(".")), select.partitions_of(table)
        if part is None:
            return TableFiles(kind="column", files=())
        if part.column is None:
            return whole_table(directory)
        return locate(directory, part.column, part.dates)

    def _some_files(self, table: str, select: Select) -> TableFiles:
        """The files of the dates of a SELECT, else those of the latest date of the table."""
        directory, part = self.root.joinpath(*table.split(".")), select.partitions_of(table)
        located = self._files(table, select)
        if located.files or part is None or part.column is None:
            return located
        if is_iceberg(directory):
            return whole_table(directory)
        dates = read_layout(directory, part.column).dates
        return locate(directory, part.column, [max(dates)]) if dates else located

    def _translate_error(self, error: Exception) -> Exception:
        """An error as a QueryError, or a WarehouseError where DuckDB itself failed."""
        if isinstance(error, QueryError):
            return error
        if isinstance(error, duckdb.InterruptException):
            return QueryError(f"the lake did not answer within {self._timeout:g} s", inaccessible=True)
        if isinstance(error, duckdb.FatalException | duckdb.InternalException):
            self.close()  # it answers nothing more; the next query opens another
            return WarehouseError(f"DuckDB gave up: {first_line(str(error))}")
        return query_error(error, self.root)


def missing_lake(root: Path) -> WarehouseError:
    """The error for a lake without a directory.

    It is no empty lake: a disk that is not mounted, or a mistyped path, would make every job run again.
    """
    return WarehouseError(missing_directory(root), permanent=True)


def _literal(name: str, values: Sequence[str]) -> str:
    """A list of paths in SQL, for a view, which takes no parameters."""
    del name
    return "[" + ", ".join(map(quoted_text, values)) + "]"
