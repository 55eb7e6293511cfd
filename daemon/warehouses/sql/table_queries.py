"""Asking tables and run history so that what is broken does not spoil the rest."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from backfilld.daemon.warehouses.adapter import Purpose, Wanted
from backfilld.daemon.warehouses.backend import Backend, QueryError, Row
from backfilld.daemon.warehouses.sql import queries, run_history
from backfilld.daemon.warehouses.sql.queries import Query, TableQuery
from backfilld.daemon.warehouses.sql.run_history import Runs
from backfilld.state.pipeline.processor import Processor
from backfilld.state.pipeline.sections import HistorySettings

Counts = Mapping[dt.date, Row | QueryError]
"""What a table holds, by date; dates without rows are absent, and those that cannot be read are refused."""

Pair = tuple[str, dt.date]

SIDE_BY_SIDE = 16
"""How many queries about tables are under way at once, where one for all was refused."""


class TableQueries:
    """All tables in one query; when that is refused or too slow, each in one of its own.

    A table that was refused is asked apart from then on, until it answers.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._broken: set[tuple[str, bool]] = set()

    def ask(self, probes: Sequence[TableQuery], *, purpose: Purpose) -> dict[str, Counts | QueryError]:
        """Counts or refusal, by processor.

        Raises:
            WarehouseError: no question can be answered now.
        """
        healthy = [probe for probe in probes if _key(probe) not in self._broken]
        broken = [[probe] for probe in probes if _key(probe) in self._broken]
        answers = self._side_by_side([healthy, *broken] if healthy else broken, purpose)
        refused = {_key(probe) for probe in probes if _is_broken(answers[probe.name])}
        self._broken = (self._broken - {_key(probe) for probe in probes}) | refused
        return answers

    def _side_by_side(
        self, groups: Sequence[Sequence[TableQuery]], purpose: Purpose
    ) -> dict[str, Counts | QueryError]:
        """A query for each group, all at once: many slow tables take no longer than one."""
        answers: dict[str, Counts | QueryError] = {}
        with ThreadPoolExecutor(SIDE_BY_SIDE, "tables") as pool:
            for found in pool.map(lambda group: self._group(group, purpose), groups):
                answers |= found
        return answers

    def _group(self, probes: Sequence[TableQuery], purpose: Purpose) -> dict[str, Counts | QueryError]:
        found = self._counts(probes, purpose)
        if not isinstance(found, QueryError):
            return dict(found)
        if len(probes) == 1:
            return {probes[0].name: self._readable(probes[0], found, purpose)}
        return self._side_by_side([[probe] for probe in probes], purpose)

    def _readable(self, probe: TableQuery, refusal: QueryError, purpose: Purpose) -> Counts | QueryError:
        """What the other dates hold, where files of some cannot be read: halves are asked to find those."""
        if not refusal.in_a_file or len(probe.dates) == 1:
            return refusal
        middle = len(probe.dates) // 2
        counts: dict[dt.date, Row | QueryError] = {}
        for dates in (probe.dates[:middle], probe.dates[middle:]):
            found = self._group([replace(probe, dates=dates)], purpose)[probe.name]
            counts |= dict.fromkeys(dates, found) if isinstance(found, QueryError) else found
        return counts

    def _counts(self, probes: Sequence[TableQuery], purpose: Purpose) -> Mapping[str, Counts] | QueryError:
        try:
            rows = _dated(self._backend.query(queries.evidence(probes), purpose=purpose))
        except QueryError as refusal:
            return refusal
        counts: dict[str, dict[dt.date, Row]] = {probe.name: {} for probe in probes}
        for row in rows:
            counts[row["processor"]][row["date"]] = row
        return counts


def _dated(rows: list[Row]) -> list[Row]:
    """The rows, each with a date.

    Raises:
        Refusal: they are of a type that compares with a DATE and equals none: rows would read as absent.
    """
    for row in rows:
        if type(row["date"]) is not dt.date:
            raise QueryError(f"its dates must be of the type DATE; {row['date']!r} is none")
    return rows


def _is_broken(answer: Counts | QueryError) -> bool:
    return isinstance(answer, QueryError) or any(isinstance(row, QueryError) for row in answer.values())


def _key(probe: TableQuery) -> tuple[str, bool]:
    return probe.name, probe.bare


class RunHistory:
    """The latest runs of wanted pairs, in one query; columns that the table lacks are done without."""

    def __init__(
        self, source: HistorySettings, processors: Mapping[str, Processor], backend: Backend
    ) -> None:
        self._source = source
        self._processors = processors
        self._backend = backend
        self._lacking: frozenset[str] = frozenset()

    def question(self, wanted: Wanted) -> Query:
        """The query for the wanted pairs."""
        return self._question(wanted, self._lacking)

    def ask(self, wanted: Wanted, *, purpose: Purpose) -> Mapping[Pair, Runs] | QueryError:
        """The runs of each pair that has any, or why they could not be asked.

        Raises:
            WarehouseError: no question can be answered now.
        """
        try:
            found = run_history.read(_dated(self._rows(wanted, purpose)), self._source)
        except QueryError as refusal:
            return refusal
        return {(name, date): self._latest(found, name, date) for name in wanted for date in wanted[name]}

    def _rows(self, wanted: Wanted, purpose: Purpose) -> list[Row]:
        lacking = self._lacking
        while True:
            try:
                rows = self._backend.query(self._question(wanted, lacking), purpose=purpose)
            except QueryError as refusal:
                named = _named(run_history.optional_columns(self._source), str(refusal)) - lacking
                if not named:
                    raise
                lacking |= named
                if not refusal.of_these_dates:
                    self._lacking |= named
            else:
                return rows

    def _question(self, wanted: Wanted, lacking: frozenset[str]) -> Query:
        names = {known for name in wanted for known in self._processors[name].names_in_history}
        dates = {date for days in wanted.values() for date in days}
        return run_history.question(self._source, names, dates, without=lacking)

    def _latest(self, found: Mapping[Pair, Runs], name: str, date: dt.date) -> Runs:
        names = self._processors[name].names_in_history
        return run_history.latest(found.get((known, date), Runs()) for known in names)


def _named(columns: Collection[str], message: str) -> frozenset[str]:
    """The columns that a refusal speaks of."""
    words = {word.lower() for word in re.findall(r"\w+", message)}
    return frozenset(column for column in columns if column.lower() in words)
