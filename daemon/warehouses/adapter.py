"""What the warehouse is asked, and how its refusals are told apart from its answers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from backfilld.state.errors import BackfilldError
from backfilld.state.pipeline.sections import WarehouseSettings
from backfilld.state.rules.calendar import Counts
from backfilld.state.rules.verdict import Evidence

Purpose = Literal["gate", "sweep", "calendar", "validation", "quality", "preflight"]
"""What the warehouse is asked for: the closed set by which queries are counted."""

Wanted = Mapping[str, Collection[dt.date]]
"""The dates to ask about, by processor."""

Answers = Mapping[tuple[str, dt.date], Evidence]
"""Evidence by (processor, date): one for every pair that was wanted."""


class WarehouseError(BackfilldError):
    """A question that was not answered. Never an answer: whoever asked knows nothing new.

    `retry_at` (epoch seconds) is set when asking again before then is useless, as with a spent quota.
    """

    def __init__(self, message: str, *, retry_at: float | None = None) -> None:
        self.retry_at = retry_at
        super().__init__(message)


class Warehouse(Protocol):
    """The platform's data, read-only."""

    def counts(self, start: dt.date, end: dt.date) -> Mapping[dt.date, Counts]:
        """Counts per date of the calendar, both ends included; 0 for dates that are absent.

        Raises:
            WarehouseError: the calendar could not be asked.
        """

    def evidence(self, wanted: Wanted, *, purpose: Purpose) -> Answers:
        """What the tables and the run history hold: two queries, however many tables and dates.

        A table that cannot be asked gives evidence with `error` for its processors and leaves the rest.

        Raises:
            WarehouseError: nothing at all could be asked.
        """

    def close(self) -> None:
        """Let go of connections."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WarehouseAdapter:
    """A kind of warehouse: what its folder exposes as ADAPTER. Importing it imports no client library."""

    settings: type[WarehouseSettings]
    """The model of `[warehouse]`."""
