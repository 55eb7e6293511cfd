"""Plans in the API and in `--json` output. Their parts are the daemon's own result types."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

from pydantic import BeforeValidator, Field

from backfilld.api.schemas.field_types import ReportModel, Time
from backfilld.daemon.reports.plan.models import (
    CannotRun,
    Cost,
    Coverage,
    PhasePlan,
    PlannedWaiver,
    StartingPoints,
)
from backfilld.state.records import Sources


class Recompute(ReportModel):
    """A date to compute again, because the date `repaired` changed after it was computed."""

    date: dt.date
    repaired: dt.date
    at: Time
    reason: str = Field(description="which outputs are stale, each with its causes")
    failed: bool = Field(description="whether the date has failed: a retry of stale dates leaves it out")
    remedy: str = Field(description="the command that computes it again")


class Opening(ReportModel):
    """The opening of a window that steps wait for; `opens_at` is null where it is never open that long."""

    window: str
    opens_at: Time | None
    processors: list[str]
    steps: list[int]


class PlanResult(ReportModel):
    """What a plan leads to, how long it takes and what it costs."""

    sources: Sources
    cannot_run: list[CannotRun]
    waivers: list[PlannedWaiver]
    coverage: list[Coverage]
    expected_dates: int
    done_dates: int
    seconds: float
    unknown_steps: int
    cost: Cost
    summary: str


class Plan(PlanResult):
    """The jobs that would run for a range of dates, in order, with their duration and cost."""

    start: dt.date
    end: dt.date
    dates: int
    phases: list[PhasePlan]
    stale: list[Recompute]
    select: list[str] | None = Field(description="the selected processors; null: all of them")
    openings: list[Opening] = Field(
        description="the openings of windows that steps wait for if the plan starts now, the earliest first"
    )
    finish_at: Time | None = Field(
        description="when the last step ends at the earliest; null where a window never lets one start"
    )
    check_commands: dict[str, int] = Field(
        description="by processor with a check command: on how many dates that runs, besides the steps"
    )
    becomes_stale: dict[str, int] = Field(
        description="by processor: on how many dates of the range, at most, its output becomes stale"
    )
    stale_until: dt.date | None = Field(
        description="the last date after the range of which an output may become stale; 9999-12-31: every one"
    )


class PlanOption(PlanResult):
    """The result of running all, only critical, or no sources."""

    steps: Annotated[int, BeforeValidator(len)]


class Comparison(ReportModel):
    """One plan for each choice of sources: all, critical, none; and where to start."""

    start: dt.date
    end: dt.date
    dates: int
    options: list[PlanOption]
    starting_points: StartingPoints | None = Field(
        description="null where nothing is to run, or the range is no longer than a test window"
    )
