"""Requests for dates and their results."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from backfilld.state.records import Actor, CheckRow, EnqueueOutcome, Sources

MOST_DATES = 20_000
"""Dates of one request: half a century of days, and still one quick transaction."""
EARLIEST, LATEST = dt.date(1900, 1, 1), dt.date(2199, 12, 31)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnqueueRequest:
    """A request for dates. `dates` is sorted, without duplicates."""

    dates: tuple[dt.date, ...]
    sources: Sources = Sources.ALL
    force: bool = False
    selection: tuple[str, ...] | None = None
    """The processors that it lets run (`state.rules.processor_selection`); None: all."""
    priority: int = 0
    max_failures: int | None = None
    note: str = ""
    by: Actor
    key: str | None = None
    """Idempotency key: the same key with the same request returns the same backfill."""
    digest: str = ""
    dry_run: bool = False

    def runs_again(self, check: CheckRow, *, failed: bool) -> bool:
        """Whether it runs an output that was accepted: any of a date that failed, or what it forces."""
        return failed or (self.force and (self.selection is None or check.processor in self.selection))


@dataclass(frozen=True, slots=True, kw_only=True)
class DateResult:
    """The outcome of one requested date. `verdicts` prove an `already_done`: how many of each.

    `missing` are the outputs of an ended date that the request runs, as far as they are known. `is_outside`:
    the calendar counts something on the date, and it lies in no season.
    """

    date: dt.date
    outcome: EnqueueOutcome
    reason: str = ""
    verdicts: Mapping[str, int] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    is_outside: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EnqueueResult:
    """The result of a request. `id` is None for a dry run."""

    id: int | None
    start: dt.date
    end: dt.date
    details: tuple[DateResult, ...]
    selection: tuple[str, ...] | None = None

    @property
    def outcomes(self) -> dict[str, int]:
        """How many dates had which outcome."""
        return dict(Counter(detail.outcome.value for detail in self.details))
