"""A warehouse in memory that answers at once: the rows of a job are there as soon as it started."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

from backfilld.daemon.event_types import AttemptStarted, Event
from backfilld.daemon.warehouses.adapter import Answers, Wanted
from backfilld.state.records import Actor
from backfilld.state.rules.evidence import Evidence
from backfilld.state.rules.season_calendar import Counts

ME = Actor(name="bench")

_EMPTY, _FULL = Evidence(rows=0), Evidence(rows=1)


class InMemoryWarehouse:
    """A `Warehouse` that costs next to nothing, so that the benchmark measures backfilld alone."""

    def __init__(self) -> None:
        self.filled: set[tuple[str, dt.date]] = set()
        self.questions = 0

    def emit(self, event: Event) -> None:
        """Hear of every start: `/bin/true` writes nothing, so the rows are made up here."""
        if isinstance(event, AttemptStarted):
            self.filled.update((event.processor, date) for date in event.dates)

    def counts(self, start: dt.date, end: dt.date) -> Mapping[dt.date, Counts]:
        """Every date is expected."""
        return {}

    def evidence(self, wanted: Wanted, *, purpose: str, stamps: Wanted | None = None) -> Answers:
        """One row where a job has started, none elsewhere."""
        self.questions += 1
        return {
            (name, date): _FULL if (name, date) in self.filled else _EMPTY
            for name, dates in wanted.items()
            for date in dates
        }

    def rule_problem(self, processor: str, date: dt.date) -> str:
        """Every rule can be queried."""
        del processor, date
        return ""

    def price(self, wanted: Wanted) -> int:
        """Nothing is billed."""
        return 0

    def close(self) -> None:
        """Nothing to let go of."""
