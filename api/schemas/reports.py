"""Reports as the API tells them: the shapes of `daemon.report`, field by field."""

from __future__ import annotations

import datetime as dt

from pydantic import ConfigDict

from api.schemas.fields import Told
from api.schemas.told import Counts
from daemon.report import Standing
from state.verdict import Verdict


class _Report(Told):
    """A part of a report, read from the value that the daemon made."""

    model_config = ConfigDict(from_attributes=True)


class DateVerdict(_Report):
    """What one processor has for one date."""

    verdict: Verdict
    rows: int | None
    expected: str
    reason: str


class ProcessorReport(_Report):
    """One processor over the range; `verdicts` counts the expected dates."""

    processor: str
    table: str
    priority: str
    symbol: str
    status: str
    complete: int
    expected: int
    percent: float | None
    verdicts: Counts
    bootstrap: int
    off: int
    note: str
    estimate: float | None
    dates: dict[dt.date, DateVerdict]


class Hole(_Report):
    """An earlier date that bars the way into a sequential phase."""

    date: dt.date
    processor: str
    verdict: Verdict
    reason: str


class PhaseReport(_Report):
    """One phase over the range; `complete` and `expected` count (processor, date) pairs."""

    phase: str
    order: str
    ready: bool
    complete: int
    expected: int
    percent: float | None
    ready_dates: int
    expected_dates: int
    bootstrap_dates: int
    dates: dict[dt.date, Standing]
    holes: list[Hole]
    processors: list[ProcessorReport]


class Validation(_Report):
    """What exists for a range of dates, what does not and why, and what to do next."""

    start: dt.date
    end: dt.date
    dates: int
    expected_dates: int
    bootstrap_dates: int
    off_dates: dict[dt.date, str]
    phases: list[PhaseReport]
    ready: bool
    summary: str
    next_action: str
