"""A warehouse that answers SQL: it queries tables and run history, and keeps errors apart from answers."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

from backfilld.daemon.warehouses.adapter import (
    Answers,
    Catalog,
    Pair,
    Partition,
    Purpose,
    QueryError,
    Wanted,
    WarehouseError,
    WriteStamps,
)
from backfilld.daemon.warehouses.calendar_reader import CalendarReader
from backfilld.daemon.warehouses.sql import evidence_queries
from backfilld.daemon.warehouses.sql.backend_interface import Row, SqlBackend
from backfilld.daemon.warehouses.sql.date_column_metadata import DateColumns
from backfilld.daemon.warehouses.sql.failure_isolation import Counts, RunHistory, TableQueries
from backfilld.daemon.warehouses.sql.partition_metadata import Partitions
from backfilld.daemon.warehouses.sql.rule_query import whole
from backfilld.daemon.warehouses.sql.rule_query_runner import rule_queries, with_rule_figures
from backfilld.daemon.warehouses.sql.run_history import Runs
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.pipeline.processor import Processor
from backfilld.state.rules.evidence import Evidence
from backfilld.state.rules.expectations.aggregate_types import Aggregate, GroupCounts
from backfilld.state.rules.season_calendar import Counts as CalendarCounts


class WarehouseClient:
    """The warehouse of a pipeline, over the SQL backend and the catalog that hold its data.

    Without `stamps` it does not know when a partition was written, nor whether it exists. `unread` names what
    of partitions without rows is not read.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        backend: SqlBackend,
        catalog: Catalog,
        stamps: WriteStamps | None = None,
        unread: Callable[[Collection[Partition]], Mapping[Partition, str]] = lambda _: {},
    ) -> None:
        self._processors = pipeline.processors
        self._backend = backend
        self.catalog = catalog
        self._calendar = CalendarReader(pipeline, backend)
        columns = DateColumns(catalog)
        self._tables = TableQueries(backend, columns)
        self._partitions = Partitions(pipeline.processors, columns, stamps)
        self._unread = unread
        self._history = None
        if pipeline.history:
            self._history = RunHistory(pipeline.history, pipeline.processors, backend)

    def counts(self, start: dt.date, end: dt.date) -> Mapping[dt.date, CalendarCounts]:
        """Counts per date of the calendar, both ends included; 0 for dates that are absent.

        Raises:
            WarehouseError: the calendar could not be read.
        """
        return self._calendar.counts(start, end)

    def evidence(self, wanted: Wanted, *, purpose: Purpose, stamps: Wanted | None = None) -> Answers:
        """Rows, figures and latest runs of every wanted pair: two queries, however many tables and dates.

        A table that cannot be queried gives evidence with `error` for its processors and no other. `stamps`
        are the wanted pairs whose write stamp is read too, which may cost more queries; it is also read of
        all others where that is not billed. None: no stamp is read.

        Raises:
            WarehouseError: no query could be answered.
        """
        wanted = {name: dates for name, dates in wanted.items() if dates}
        if not wanted:
            return {}
        # History first: a job that ends between the two queries then shows by its rows. The other way
        # round, its success would stand beside rows that were not there yet.
        runs = self._history.fetch(wanted, purpose=purpose) if self._history else {}
        # Before the rows: a write between the two is then noticed the next time.
        written = {} if stamps is None else self._partitions.write_stamps(stamps, wanted, purpose)
        existing = self._partitions.existing(wanted, purpose)
        table_queries = evidence_queries.table_queries(self._processors, wanted)
        tables = self._tables.query(table_queries, purpose=purpose)
        _require_access(tables, runs if self._history else None)
        answers = {
            (name, date): replace(
                _evidence(self._processors[name], date, tables, runs, existing.get((name, date))),
                write_stamp=written.get((name, date)),
            )
            for name, dates in wanted.items()
            for date in dates
        }
        answers |= self._with_unread(answers)
        return with_rule_figures(self._processors, self._tables, answers, purpose=purpose)

    def _with_unread(self, answers: Answers) -> Answers:
        """The evidence of dates without rows for which something is there that is not read."""
        empty = {
            pair: Partition(self._processors[pair[0]].table, self._processors[pair[0]].date_column, pair[1])
            for pair, evidence in answers.items()
            if not (evidence.rows or evidence.error)
        }
        unread = self._unread(empty.values())
        return {
            pair: replace(answers[pair], unread=unread[part])
            for pair, part in empty.items()
            if part in unread
        }

    def estimate_bytes(self, wanted: Wanted) -> int:
        """About how many bytes `evidence` of the same pairs would be billed.

        Raises:
            WarehouseError: it could not be estimated.
        """
        wanted = {name: dates for name, dates in wanted.items() if dates}
        if not wanted:
            return 0
        try:
            tables = map(self._tables.with_type, evidence_queries.table_queries(self._processors, wanted))
            sent = [evidence_queries.evidence(tables)]
            of_rules = [*map(self._tables.with_type, rule_queries(self._processors, wanted))]
            if shared := [query for query in of_rules if not query.is_separate]:
                sent.append(evidence_queries.evidence(shared))
            sent += (evidence_queries.evidence([query]) for query in of_rules if query.is_separate)
            if self._history:
                sent.append(self._history.query(wanted))
            return sum(self._backend.estimate_bytes(query) for query in sent)
        except QueryError as error:
            raise WarehouseError(str(error)) from error

    def rule_problem(self, processor: str, date: dt.date) -> str:
        """Why the figures that a processor's rules need cannot be queried; empty where they can.

        Raises:
            QueryError: a file cannot be read, whatever the rules are.
            WarehouseError: nothing can be queried now.
        """
        wanted = {processor: [date]}
        tables = evidence_queries.table_queries(self._processors, wanted)
        try:
            own = [self._tables.with_type(table) for table in tables if table.processor.name == processor]
            self._backend.check(evidence_queries.evidence(own))
        except QueryError as error:
            if error.file_scoped:
                raise
            return str(error)
        for existing in self._partitions.existing(wanted, "preflight").values():
            if isinstance(existing, QueryError):
                return f"expect.empty: {existing}"
        for query in rule_queries(self._processors, wanted):
            try:
                self._backend.check(evidence_queries.evidence([self._tables.with_type(query)]))
            except QueryError as error:
                return f"{query.key}: {error}"
        return ""

    def close(self) -> None:
        """Close all connections. Idempotent."""
        self._backend.close()


def _require_access(
    tables: Mapping[str, Counts | QueryError], runs: Mapping[Pair, Runs] | QueryError | None
) -> None:
    """Tell many broken tables from one broken warehouse: a wrong location, an account without rights."""
    counted = [counts for name, counts in tables.items() if not name.endswith(evidence_queries.GROUPS)]
    answers = [*counted, *([runs] if runs is not None else [])]
    errors = [answer for answer in answers if isinstance(answer, QueryError) and answer.inaccessible]
    if len(answers) > 1 and len(errors) == len(answers):
        message = f"none of {len(answers)} tables can be read: {errors[0]}"
        raise WarehouseError(message, until_corrected=all(error.permanent for error in errors))


def _evidence(
    processor: Processor,
    date: dt.date,
    tables: Mapping[str, Counts | QueryError],
    runs: Mapping[Pair, Runs] | QueryError,
    has_partition: bool | QueryError | None,
) -> Evidence:
    """Rows beat history; where there are none, a history that cannot be read leaves everything open."""
    try:
        row = _row(tables[processor.name], date)
        rows = _rows(row)
        figures = _figures(processor, row)
        groups = _groups(processor, date, tables) if rows else None
    except QueryError as error:
        return Evidence(error=f"{processor.table}: {error.evidence}")
    try:
        reference = _reference(processor, date, tables)
    except QueryError as error:
        return Evidence(error=error.evidence)
    if isinstance(runs, QueryError):
        if not rows:
            return Evidence(error=f"run history could not be read: {runs.evidence}")
        runs = {}
    if isinstance(has_partition, QueryError) and not rows:
        return Evidence(error=f"{processor.table}: expect.empty cannot be judged: {has_partition.evidence}")
    latest = runs.get((processor.name, date), Runs())
    evidence = Evidence(
        rows=rows,
        groups=groups,
        reference=reference,
        closed=latest.closed,
        open=latest.open,
        has_partition=has_partition if isinstance(has_partition, bool) else None,
    )
    return evidence.with_figures(figures)


def _groups(
    processor: Processor, date: dt.date, tables: Mapping[str, Counts | QueryError]
) -> GroupCounts | None:
    """The sizes of the groups of a date with rows; None without such a rule.

    Raises:
        QueryError: they are not known.
    """
    if processor.expect.rows_each is None:
        return None
    row = _row(tables[evidence_queries.groups_name(processor.name)], date)
    if row is None:
        return None  # the rows came after the groups were counted
    figures = [whole(figure) for figure in row["figures"] or ()]
    if len(figures) != len(dataclasses.fields(GroupCounts)):
        raise QueryError(f"its answer has {len(figures)} figures of groups")
    groups, too_small, too_large, smallest, largest = figures
    return GroupCounts(
        groups=groups, too_small=too_small, too_large=too_large, smallest=smallest, largest=largest
    )


def _figures(processor: Processor, row: Row | None) -> dict[Aggregate, int]:
    """The figure of each aggregate: zero where there are no rows.

    Raises:
        QueryError: the answer has other figures.
    """
    aggregates = processor.expect.aggregates
    figures = [0] * len(aggregates) if row is None else list(row["figures"] or ())
    if len(figures) != len(aggregates):
        raise QueryError(f"its answer has {len(figures)} figures, not {len(aggregates)}")
    return {aggregate: whole(figure) for aggregate, figure in zip(aggregates, figures, strict=True)}


def _reference(processor: Processor, date: dt.date, tables: Mapping[str, Counts | QueryError]) -> int | None:
    """The rows of the processor that it is compared with; None without one.

    Raises:
        QueryError: they are not known.
    """
    of = processor.expect.reference
    if of is None:
        return None
    try:
        return _rows(_row(tables[of], date))
    except QueryError as error:
        message = f"{of}, which it is measured against, cannot be queried: {error}"
        raise QueryError(message, permanent=error.permanent) from error


def _row(counts: Counts | QueryError, date: dt.date) -> Row | None:
    """The answer for a date; None where the table has no rows of it.

    Raises:
        QueryError: the table, or its files of that date, cannot be read.
    """
    row = counts if isinstance(counts, QueryError) else counts.get(date)
    if isinstance(row, QueryError):
        raise row
    return row


def _rows(row: Row | None) -> int:
    return 0 if row is None else whole(row["n"])
