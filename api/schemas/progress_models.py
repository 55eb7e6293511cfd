"""Response models of the overall progress. Times are ISO 8601 in UTC."""

from __future__ import annotations

import datetime as dt

from pydantic import Field

from backfilld.api.schemas.field_types import ResponseModel, Time
from backfilld.api.schemas.responses import Budget, Counts, Hold


class DateTotals(ResponseModel):
    """Number of dates: total, done, failed, live."""

    total: int
    done: int
    failed: int
    live: int


class ProcessorProgress(ResponseModel):
    """Satisfied and needed dates of a processor."""

    processor: str
    satisfied: int
    waived: int = Field(description="those of the satisfied dates that pass with a waiver")
    total: int
    verdicts: Counts


class PhaseProgress(ResponseModel):
    """Satisfied and needed (processor, date) pairs of a phase; `ratio` is 1 if none is needed."""

    phase: str
    satisfied: int
    total: int
    ratio: float
    processors: list[ProcessorProgress]


class SeasonProgress(ResponseModel):
    """Dates of a season: total, done, failed."""

    season: str
    total: int
    done: int
    failed: int


class RunningAttempt(ResponseModel):
    """A running job."""

    id: int
    processor: str
    dates: list[dt.date]
    started_at: Time
    age_seconds: float


class Progress(ResponseModel):
    """Overall status: counts, rate, and ETA with what it is based on."""

    dates: DateTotals
    states: Counts
    outcomes: Counts
    waiting: Counts
    phases: list[PhaseProgress]
    seasons: list[SeasonProgress]
    running: list[RunningAttempt]
    rate_per_hour: float | None
    eta: Time | None
    eta_method: str
    paused: bool
    holds: list[Hold]
    budgets: list[Budget]
    regressed: int = Field(description="done dates that are no longer complete")
    stale: int = Field(description="dates to compute again because an earlier date changed")
    last_progress_at: Time | None
    problems: list[str] = Field(description="what keeps the daemon from working, such as a full disk")
