"""The checks of the dates of one pass: first those that decide what the dates do now, others on demand.

A pipeline may have a thousand processors, of which a date's state has few.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Mapping

from backfilld.state.pipeline.phase import Stage
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.records import CheckRow, DateRow
from backfilld.state.store import checks, decisive_checks
from backfilld.state.store.database import Transaction

DateChecks = Mapping[str, CheckRow]
"""Checks of one date, by processor."""


class DueChecks:
    """The checks of due dates, as they were when this transaction read them."""

    def __init__(self, tx: Transaction, pipeline: Pipeline, rows: Collection[DateRow]) -> None:
        """Read the decisive checks: of each date's state and the next one, and of others few."""
        self._tx = tx
        at = {pipeline.stage[row.state].index for row in rows if row.state in pipeline.stage}
        here = [stage for stage in pipeline.stages if {stage.index, stage.index - 1} & at]
        passed = pipeline.stages[: max(at, default=0)]
        self._read_states = {stage.name for stage in here}
        self._by_date = decisive_checks.for_dates(
            tx, [row.date for row in rows], _names(here), _names(passed)
        )
        self._whole: set[dt.date] = set()

    def decisive(self, date: dt.date) -> DateChecks:
        """The checks of a date that decide what it does.

        They are those of its state; those of earlier states that are not satisfied or are queried again; and
        all that run, may start, are stale or were accepted.
        """
        return self._by_date.get(date, {})

    def at(self, date: dt.date, state: str) -> DateChecks:
        """The decisive checks of a date that is in a state."""
        return self.decisive(date) if state in self._read_states else self.whole(date)

    def whole(self, date: dt.date) -> DateChecks:
        """All checks of a date."""
        if date not in self._whole:
            self._by_date[date] = checks.for_dates(self._tx, [date])[date]
            self._whole.add(date)
        return self._by_date[date]


def _names(stages: Iterable[Stage]) -> list[str]:
    return [processor.name for stage in stages for processor in stage.processors]
