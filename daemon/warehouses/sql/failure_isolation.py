"""Queries of tables and run history, split up so that a broken table does not spoil the rest."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

from backfilld.daemon.warehouses.adapter import Pair, Purpose, QueryError, Wanted
from backfilld.daemon.warehouses.sql import evidence_queries, run_history
from backfilld.daemon.warehouses.sql.backend_interface import Row, SqlBackend
from backfilld.daemon.warehouses.sql.date_column_metadata import DateColumns
from backfilld.daemon.warehouses.sql.evidence_queries import Query, TableQuery
from backfilld.daemon.warehouses.sql.run_history import Runs
from backfilld.state.pipeline.processor import Processor
from backfilld.state.pipeline.run_history_settings import HistorySettings

Counts = Mapping[dt.date, Row | QueryError]
"""The figures of a table by date. Dates without rows are absent; dates that cannot be read have an error."""

PARALLEL_QUERIES = 16
"""How many queries of single tables run at once, after one query of all tables failed."""


class TableQueries:
    """All tables in one query; if that fails or is too slow, each table in a query of its own.

    A table whose query failed is queried separately from then on, until it answers.
    """

    def __init__(self, backend: SqlBackend, columns: DateColumns) -> None:
        self._backend = backend
        self._columns = columns
        self._broken: set[tuple[str, bool]] = set()

    def query(self, tables: Sequence[TableQuery], *, purpose: Purpose) -> dict[str, Counts | QueryError]:
        """Counts or an error, by processor.

        Raises:
            WarehouseError: no query can be answered now.
        """
        typed, answers = self._with_types(tables)
        healthy = [table for table in typed if not table.is_separate and _key(table) not in self._broken]
        alone = [[table] for table in typed if table.is_separate or _key(table) in self._broken]
        answers |= self._in_parallel([healthy, *alone] if healthy else alone, purpose)
        failed = {_key(table) for table in tables if _is_broken(answers[table.name])}
        for table in tables:
            if _key(table) in failed:
                self._columns.forget(table.processor)
        self._broken = (self._broken - {_key(table) for table in tables}) | failed
        return answers

    def with_type(self, table: TableQuery) -> TableQuery:
        """The query with the type of its date column.

        Raises:
            QueryError: the table's metadata may not be read.
            WarehouseError: nothing can be queried now.
        """
        return table.with_columns(self._columns.of)

    def _with_types(
        self, tables: Sequence[TableQuery]
    ) -> tuple[list[TableQuery], dict[str, Counts | QueryError]]:
        """The queries with the types of their date columns, and the errors of those without."""
        typed: list[TableQuery] = []
        errors: dict[str, Counts | QueryError] = {}
        for table in tables:
            try:
                typed.append(self.with_type(table))
            except QueryError as error:
                errors[table.name] = error
        return typed, errors

    def _in_parallel(
        self, groups: Sequence[Sequence[TableQuery]], purpose: Purpose
    ) -> dict[str, Counts | QueryError]:
        """A query for each group, all at once: many slow tables take no longer than one."""
        answers: dict[str, Counts | QueryError] = {}
        with ThreadPoolExecutor(PARALLEL_QUERIES, "tables") as pool:
            for answer in pool.map(lambda group: self._group(group, purpose), groups):
                answers |= answer
        return answers

    def _group(self, tables: Sequence[TableQuery], purpose: Purpose) -> dict[str, Counts | QueryError]:
        answer = self._fetch(tables, purpose)
        if not isinstance(answer, QueryError):
            return dict(answer)
        if len(tables) == 1:
            return {tables[0].name: self._readable_dates(tables[0], answer, purpose)}
        return self._in_parallel([[table] for table in tables], purpose)

    def _readable_dates(self, table: TableQuery, error: QueryError, purpose: Purpose) -> Counts | QueryError:
        """The counts of dates whose files can be read: halving the dates isolates those that cannot."""
        if not error.file_scoped or len(table.dates) == 1:
            return error
        middle = len(table.dates) // 2
        counts: dict[dt.date, Row | QueryError] = {}
        for dates in (table.dates[:middle], table.dates[middle:]):
            answer = self._group([replace(table, dates=dates)], purpose)[table.name]
            counts |= dict.fromkeys(dates, answer) if isinstance(answer, QueryError) else answer
        return counts

    def _fetch(self, tables: Sequence[TableQuery], purpose: Purpose) -> Mapping[str, Counts] | QueryError:
        counts: dict[str, dict[dt.date, Row]] = {table.name: {} for table in tables}
        try:
            with _malformed_answers():
                rows = self._backend.query(evidence_queries.evidence(tables), purpose=purpose)
                for row in _dated(rows):
                    counts[row["processor"]][row["date"]] = row
        except QueryError as error:
            return error
        return counts


@contextmanager
def _malformed_answers() -> Iterator[None]:
    """An answer that cannot be read is an error of its query, and of no other.

    Raises:
        QueryError: the answer has values or columns that it should not have.
    """
    try:
        yield
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise QueryError(f"its answer cannot be read: {type(error).__name__}: {error}") from error


def _dated(rows: list[Row]) -> list[Row]:
    """The rows, each with a date.

    Raises:
        QueryError: they are of a type that compares with a DATE and equals none: rows would read as absent.
    """
    for row in rows:
        if type(row["date"]) is not dt.date:
            raise QueryError(f"its dates must be of the type DATE; {row['date']!r} is none")
    return rows


def _is_broken(answer: Counts | QueryError) -> bool:
    return isinstance(answer, QueryError) or any(isinstance(row, QueryError) for row in answer.values())


def _key(table: TableQuery) -> tuple[str, bool]:
    return table.name, table.count_only


class RunHistory:
    """The latest runs of wanted pairs, in one query, without the columns that the table lacks."""

    def __init__(
        self, settings: HistorySettings, processors: Mapping[str, Processor], backend: SqlBackend
    ) -> None:
        self._settings = settings
        self._processors = processors
        self._backend = backend
        self._missing: frozenset[str] = frozenset()

    def query(self, wanted: Wanted) -> Query:
        """The query for the wanted pairs."""
        return self._query(wanted, self._missing)

    def fetch(self, wanted: Wanted, *, purpose: Purpose) -> Mapping[Pair, Runs] | QueryError:
        """The runs of each pair that has any, or why they could not be read.

        Raises:
            WarehouseError: no query can be answered now.
        """
        try:
            with _malformed_answers():
                runs = run_history.parse_runs(_dated(self._rows(wanted, purpose)), self._settings)
        except QueryError as error:
            return error
        return {(name, date): self._latest(runs, name, date) for name in wanted for date in wanted[name]}

    def _rows(self, wanted: Wanted, purpose: Purpose) -> list[Row]:
        missing = self._missing
        while True:
            try:
                return self._backend.query(self._query(wanted, missing), purpose=purpose)
            except QueryError as error:
                named = _named(run_history.optional_columns(self._settings), str(error)) - missing
                if not named:
                    raise
                missing |= named
                if not error.date_scoped:
                    self._missing |= named

    def _query(self, wanted: Wanted, missing: frozenset[str]) -> Query:
        names = {name for processor in wanted for name in self._processors[processor].names_in_history}
        dates = {date for days in wanted.values() for date in days}
        return run_history.runs_query(self._settings, names, dates, without=missing)

    def _latest(self, runs: Mapping[Pair, Runs], processor: str, date: dt.date) -> Runs:
        names = self._processors[processor].names_in_history
        return run_history.latest(runs.get((name, date), Runs()) for name in names)


def _named(columns: Collection[str], message: str) -> frozenset[str]:
    """The columns that an error names."""
    words = {word.lower() for word in re.findall(r"\w+", message)}
    return frozenset(column for column in columns if column.lower() in words)
