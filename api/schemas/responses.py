"""What is answered. Field by field this is the public interface; times are ISO 8601 in UTC."""

from __future__ import annotations

import datetime as dt
from typing import Literal

from pydantic import Field

from backfilld.api.schemas.fields import BackfillStatus, ResponseModel, Time
from backfilld.state.records import AttemptStatus, EnqueueOutcome, Sources
from backfilld.state.rules.verdict import Verdict

Counts = dict[str, int]


class Fault(ResponseModel):
    """One field that is wrong, and why."""

    field: str
    message: str


class Problem(ResponseModel):
    """An error, as RFC 9457 has it."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    errors: list[Fault] = Field(default=[], description="the fields at fault")


class DateResult(ResponseModel):
    """What became of one requested date; `verdicts` proves that it is done already."""

    date: dt.date
    outcome: EnqueueOutcome
    reason: str
    verdicts: Counts = Field(default={}, description="how many processors have which verdict")


class EnqueueResult(ResponseModel):
    """The answer to a request; a dry run has no id."""

    id: int | None
    start: dt.date
    end: dt.date
    dates: int
    outcomes: Counts
    details: list[DateResult]


class Backfill(ResponseModel):
    """A backfill: what was asked for, and where it stands."""

    id: int
    status: BackfillStatus
    start: dt.date
    end: dt.date
    dates: int
    sources: Sources
    force: bool
    priority: int
    max_failures: int | None
    note: str
    actor: str
    created_at: Time
    stop_reason: str | None
    answers: Counts
    states: Counts
    outcomes: Counts
    running_attempts: int
    retried: int = Field(default=0, description="how many dates a retry has put back")


class Backfills(ResponseModel):
    """A page of backfills, newest first."""

    items: list[Backfill]
    next_cursor: str | None


class RequestedDate(ResponseModel):
    """One date of a backfill: the answer it got, and where it stands."""

    date: dt.date
    answer: EnqueueOutcome
    reason: str = Field(description="why it has failed, else why it got its answer")
    state: str | None
    outcome: str | None
    waiting_on: str | None


class RequestedDates(ResponseModel):
    """A page of a backfill's dates, oldest first."""

    items: list[RequestedDate]
    next_cursor: str | None


class DateSummary(ResponseModel):
    """One date in a list."""

    date: dt.date
    state: str
    outcome: str | None
    reason: str | None
    waiting: str | None
    waiting_on: str | None
    season: str | None
    backfill_id: int
    regressed: str | None = Field(description="why it is no longer complete")
    stale: str | None = Field(description="the earlier date that was repaired after this one was computed")


class Dates(ResponseModel):
    """A page of dates, oldest first; `dates` counts those of all pages, `start` and `end` are as asked."""

    start: dt.date | None
    end: dt.date | None
    dates: int
    items: list[DateSummary]
    next_cursor: str | None


class Accepted(ResponseModel):
    """Who accepted a gap, and why."""

    by: str
    reason: str


class Check(ResponseModel):
    """What is known of one processor on one date."""

    processor: str
    phase: str | None
    priority: str | None
    verdict: Verdict
    symbol: str
    satisfied: bool
    rows: int | None
    expected: str
    reason: str
    asked_at: Time | None
    waiver_reason: str | None
    accepted: Accepted | None
    attempts: int
    attempt_id: int | None


class Attempt(ResponseModel):
    """One execution of one processor's job. Whether its rows are there is the verdict, not the status."""

    id: int
    processor: str
    phase: str
    status: AttemptStatus
    exit_code: int | None
    detail: str
    started_at: Time
    ended_at: Time | None
    duration_seconds: float | None
    tail: str
    max_rss_bytes: int | None
    cpu_seconds: float | None
    dates: list[dt.date]


class Attempts(ResponseModel):
    """A page of attempts, newest first."""

    items: list[Attempt]
    next_cursor: str | None


class Transition(ResponseModel):
    """One move of a date."""

    source: str = Field(serialization_alias="from")
    target: str = Field(serialization_alias="to")
    trigger: str
    reason: str
    actor: str
    at: Time


class Date(ResponseModel):
    """Everything about one date. Without a state nobody enqueued it, but others look back at it."""

    date: dt.date
    state: str | None
    outcome: str | None
    reason: str | None
    waiting: str | None
    waiting_on: str | None
    counts: dict[str, int]
    season: str | None
    season_day: int | None
    backfill_id: int | None
    version: int | None
    regressed: str | None
    stale: str | None
    processors: list[Check]
    attempts: list[Attempt]
    transitions: list[Transition]


class Retried(ResponseModel):
    """The marked dates that start again."""

    retried: int
    dates: list[dt.date]


class Hold(ResponseModel):
    """Something that may not start."""

    kind: str
    key: str
    reason: str
    actor: str
    since: Time
    until: Time | None


class Holds(ResponseModel):
    """All holds, oldest first."""

    items: list[Hold]


class Paused(ResponseModel):
    """Whether everything is paused, and all holds."""

    paused: bool
    holds: list[Hold]


class Released(ResponseModel):
    """A hold is gone."""

    lifted: bool
    allowed: int = Field(default=0, description="what may be used beyond a daily budget that was spent")


class Budget(ResponseModel):
    """A daily budget: attempts of an output table (`key`), or bytes that the warehouse bills."""

    kind: Literal["table", "warehouse"]
    key: str
    limit: int
    extra: int = Field(description="what was allowed beyond the limit today")
    spent: int
    resets_at: Time


class DateTotals(ResponseModel):
    """Dates in all, and how they stand."""

    total: int
    done: int
    failed: int
    live: int


class ProcessorProgress(ResponseModel):
    """How many dates of a processor are satisfied."""

    processor: str
    satisfied: int
    total: int
    verdicts: Counts


class PhaseProgress(ResponseModel):
    """How many (processor, date) pairs of a phase are satisfied; `ratio` is 1 where there are none."""

    phase: str
    satisfied: int
    total: int
    ratio: float
    processors: list[ProcessorProgress]


class SeasonProgress(ResponseModel):
    """How many dates of a season have ended."""

    season: str
    total: int
    done: int
    failed: int


class RunningAttempt(ResponseModel):
    """A job under way."""

    id: int
    processor: str
    dates: list[dt.date]
    started_at: Time
    age_seconds: float


class Progress(ResponseModel):
    """How everything stands, how fast it goes, when it may be done, and how that is known."""

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
    stale: int = Field(description="dates to be computed again, since an earlier one was repaired")
    last_progress_at: Time | None


class Phase(ResponseModel):
    """A phase of the pipeline, with its processors in order."""

    phase: str
    order: Literal["parallel", "sequential"]
    processors: list[str]


class Pipeline(ResponseModel):
    """The pipeline, its states, and the graph of them in Mermaid's words."""

    name: str
    phases: list[Phase]
    states: list[str]
    diagram: str
