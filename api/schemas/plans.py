"""Plans as the API and `--json` tell them, field by field."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

from pydantic import BeforeValidator

from backfilld.api.schemas.fields import ReportModel, Time
from backfilld.state.records import Sources


class Step(ReportModel):
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


class PhasePlan(ReportModel):
    """The steps of one phase, and its wall-clock time."""

    phase: str
    order: str
    steps: list[Step]
    seconds: float
    unknown_steps: int


class CannotRun(ReportModel):
    """Dates for which a phase cannot be gone through, whatever the plan runs before."""

    phase: str
    dates: list[dt.date]
    processors: list[str]
    reason: str


class PlannedWaiver(ReportModel):
    """What dates go without, and why they may."""

    processor: str
    dates: list[dt.date]
    by: str
    reason: str


class Recompute(ReportModel):
    """A date to be computed again, since `repaired` was repaired after it was computed."""

    date: dt.date
    repaired: dt.date
    at: Time


class Cost(ReportModel):
    """About what the engine's questions to the warehouse cost; null where nobody can tell."""

    queries: int
    bytes: int | None
    dollars: float | None
    note: str


class Coverage(ReportModel):
    """What share of the (processor, date) pairs of a phase there will be, 0 to 100."""

    phase: str
    complete: int
    expected: int
    percent: float | None


class Plan(ReportModel):
    """What would run for a range of dates, in order, how long it takes and what it costs."""

    start: dt.date
    end: dt.date
    dates: int
    sources: Sources
    phases: list[PhasePlan]
    cannot_run: list[CannotRun]
    waivers: list[PlannedWaiver]
    stale: list[Recompute]
    coverage: list[Coverage]
    expected_dates: int
    done_dates: int
    seconds: float
    unknown_steps: int
    cost: Cost
    summary: str


class PlanOption(ReportModel):
    """What one way to treat the sources runs, takes, costs and leads to."""

    sources: Sources
    steps: Annotated[int, BeforeValidator(len)]
    cannot_run: list[CannotRun]
    waivers: list[PlannedWaiver]
    coverage: list[Coverage]
    expected_dates: int
    done_dates: int
    seconds: float
    unknown_steps: int
    cost: Cost
    summary: str


class Comparison(ReportModel):
    """The plans of all ways to treat the sources, side by side: all, critical, none."""

    start: dt.date
    end: dt.date
    dates: int
    options: list[PlanOption]
