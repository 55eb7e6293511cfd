"""A warehouse that asks its tables and its run history, and never takes a failed question for an answer."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

from backfilld.daemon.warehouses.adapter import Answers, Purpose, Wanted, WarehouseError
from backfilld.daemon.warehouses.backend import Backend, QueryError, Row
from backfilld.daemon.warehouses.calendar import CalendarReader
from backfilld.daemon.warehouses.sql import queries
from backfilld.daemon.warehouses.sql.run_history import Runs
from backfilld.daemon.warehouses.sql.table_queries import Counts, Pair, RunHistory, TableQueries
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.pipeline.processor import Processor
from backfilld.state.rules.calendar import Counts as CalendarCounts
from backfilld.state.rules.expectations.aggregates import Aggregate
from backfilld.state.rules.verdict import Evidence


class WarehouseClient:
    """The `Warehouse` of a pipeline, over whichever backend holds its data."""

    def __init__(self, pipeline: Pipeline, backend: Backend, calendar: CalendarReader) -> None:
        self._processors = pipeline.processors
        self._backend = backend
        self._calendar = calendar
        self._tables = TableQueries(backend)
        self._history = None
        if pipeline.history:
            self._history = RunHistory(pipeline.history, pipeline.processors, backend)

    def counts(self, start: dt.date, end: dt.date) -> Mapping[dt.date, CalendarCounts]:
        """Counts per date of the calendar, both ends included; 0 for dates that are absent.

        Raises:
            WarehouseError: the calendar could not be asked.
        """
        return self._calendar.counts(start, end)

    def evidence(self, wanted: Wanted, *, purpose: Purpose) -> Answers:
        """What the tables and the run history hold: two queries, however many tables and dates.

        A table that cannot be asked gives evidence with `error` for its processors and leaves the rest.

        Raises:
            WarehouseError: nothing at all could be asked.
        """
        wanted = {name: dates for name, dates in wanted.items() if dates}
        if not wanted:
            return {}
        # History first: a job that ends between the two questions is then seen by its rows. The other
        # way round, its success would stand beside rows that were not there yet.
        runs = self._history.ask(wanted, purpose=purpose) if self._history else {}
        probes = queries.table_queries(self._processors, wanted)
        tables = self._tables.ask(probes, purpose=purpose)
        _something_seen(tables, runs if self._history else None)
        return {
            (name, date): _evidence(self._processors[name], date, tables, runs)
            for name, dates in wanted.items()
            for date in dates
        }

    def price(self, wanted: Wanted) -> int:
        """About how many bytes `evidence` of the same would be billed.

        Raises:
            WarehouseError: it could not be estimated.
        """
        wanted = {name: dates for name, dates in wanted.items() if dates}
        if not wanted:
            return 0
        asked = [queries.evidence(queries.table_queries(self._processors, wanted))]
        if self._history:
            asked.append(self._history.question(wanted))
        try:
            return sum(self._backend.price(question) for question in asked)
        except QueryError as refusal:
            raise WarehouseError(str(refusal)) from refusal

    def close(self) -> None:
        """Let go of connections."""
        self._backend.close()


def _something_seen(
    tables: Mapping[str, Counts | QueryError], runs: Mapping[Pair, Runs] | QueryError | None
) -> None:
    """Tell many broken tables from one broken warehouse: a wrong location, an account without rights."""
    asked = [*tables.values(), *([runs] if runs is not None else [])]
    unseen = [answer for answer in asked if isinstance(answer, QueryError) and answer.unseen]
    if len(asked) > 1 and len(unseen) == len(asked):
        raise WarehouseError(f"none of {len(asked)} tables can be seen: {unseen[0]}")


def _evidence(
    processor: Processor,
    date: dt.date,
    tables: Mapping[str, Counts | QueryError],
    runs: Mapping[Pair, Runs] | QueryError,
) -> Evidence:
    """Rows beat history; where there are none, a history that was not asked leaves everything open."""
    row, reference = _row(tables[processor.name], date), _reference(processor, date, tables)
    if isinstance(row, QueryError):
        return Evidence(error=f"{processor.table}: {row}")
    if isinstance(reference, QueryError):
        return Evidence(error=str(reference))
    rows = _rows(row)
    if isinstance(runs, QueryError):
        if not rows:
            return Evidence(error=f"run history could not be asked: {runs}")
        runs = {}
    known = runs.get((processor.name, date), Runs())
    found = Evidence(rows=rows, reference=reference, closed=known.closed, open=known.open)
    return found.with_figures(_figures(processor, row))


def _figures(processor: Processor, row: Row | None) -> dict[Aggregate, int]:
    """What was counted for each aggregate: zero where there are no rows."""
    aggregates = processor.expect.aggregates
    if row is None:
        return dict.fromkeys(aggregates, 0)
    return dict(zip(aggregates, map(int, row["figures"]), strict=True))


def _reference(
    processor: Processor, date: dt.date, tables: Mapping[str, Counts | QueryError]
) -> int | QueryError | None:
    """The rows that it is measured against, where it is."""
    ratio = processor.expect.ratio
    if ratio is None:
        return None
    row = _row(tables[ratio.of], date)
    if isinstance(row, QueryError):
        return QueryError(f"{ratio.of}, which it is measured against, cannot be asked: {row}")
    return _rows(row)


def _row(counts: Counts | QueryError, date: dt.date) -> Row | QueryError | None:
    """What a table says of a date; None where it has no rows of it."""
    return counts if isinstance(counts, QueryError) else counts.get(date)


def _rows(row: Row | None) -> int:
    return int(row["n"]) if row is not None else 0
