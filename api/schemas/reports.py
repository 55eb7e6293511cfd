"""Reports as the API tells them: the shapes of `daemon.report` and `daemon.plan`, field by field."""

from __future__ import annotations

import datetime as dt

from pydantic import ConfigDict

from api.schemas.fields import Time, Told
from api.schemas.told import Counts
from daemon.report import Readiness
from state.records import Scrapers
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
    dates: dict[dt.date, Readiness]
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


class Step(_Report):
    """One job to run; every step that it needs stands before it."""

    number: int
    phase: str
    stage: str
    processor: str
    dates: list[dt.date]
    argv: list[str]
    cwd: str
    env: dict[str, str]
    prepare: str
    shell: str
    reason: str
    reasons: dict[dt.date, str]
    needs: list[int]
    waits_for: list[str]
    seconds: float | None
    basis: str


class PhasePlan(_Report):
    """The steps of one phase, and its wall-clock time."""

    phase: str
    order: str
    steps: list[Step]
    seconds: float
    unknown_steps: int


class CannotRun(_Report):
    """Dates for which a phase cannot be gone through, whatever the plan runs before."""

    phase: str
    dates: list[dt.date]
    processors: list[str]
    reason: str


class AcceptedGap(_Report):
    """What dates go without, and why they may."""

    processor: str
    dates: list[dt.date]
    by: str
    reason: str


class Recompute(_Report):
    """A date to be computed again, since `repaired` was repaired after it was computed."""

    date: dt.date
    repaired: dt.date
    at: Time


class Cost(_Report):
    """About what the engine's questions to the warehouse cost; null where nobody can tell."""

    queries: int
    bytes: int | None
    dollars: float | None
    note: str


class Coverage(_Report):
    """What share of the (processor, date) pairs of a phase there will be, 0 to 100."""

    phase: str
    complete: int
    expected: int
    percent: float | None


class Plan(_Report):
    """What would run for a range of dates, in order, how long it takes and what it costs."""

    start: dt.date
    end: dt.date
    scrapers: Scrapers
    phases: list[PhasePlan]
    cannot_run: list[CannotRun]
    gaps: list[AcceptedGap]
    stale: list[Recompute]
    coverage: list[Coverage]
    expected_dates: int
    done_dates: int
    seconds: float
    unknown_steps: int
    cost: Cost
    summary: str


class PlanOption(_Report):
    """What one way to treat the sources runs, takes, costs and leads to."""

    scrapers: Scrapers
    steps: int
    cannot_run: list[CannotRun]
    gaps: list[AcceptedGap]
    coverage: list[Coverage]
    expected_dates: int
    done_dates: int
    seconds: float
    unknown_steps: int
    cost: Cost
    summary: str


class Comparison(_Report):
    """The plans of all ways to treat the sources, side by side: all, critical, none."""

    start: dt.date
    end: dt.date
    options: list[PlanOption]


class DateQuality(_Report):
    """What one date's rows lack: how many are below the predicate, and NULL or zero by column."""

    rows: int
    below: int
    hollow: Counts
    verdict: Verdict
    reason: str


class ProcessorQuality(_Report):
    """One processor that states what good rows are; `dates` holds only those with something to tell."""

    processor: str
    phase: str
    where: str
    columns: list[str]
    rows: int
    below: int
    percent_good: float | None
    hollow: Counts
    degraded_dates: int
    unknown_dates: int
    dates: dict[dt.date, DateQuality]


class Quality(_Report):
    """The spot check of a range; `unchecked` are the processors that state nothing to check."""

    start: dt.date
    end: dt.date
    processors: list[ProcessorQuality]
    unchecked: list[str]
    good: bool
    summary: str
