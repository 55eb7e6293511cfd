"""Response models. Their fields are the public interface; times are ISO 8601 in UTC."""

from __future__ import annotations

import datetime as dt
from typing import Literal

from pydantic import Field

from backfilld.api.schemas.field_types import BackfillStatus, ReportModel, ResponseModel, Time
from backfilld.state.records import AttemptStatus, EnqueueOutcome, Sources
from backfilld.state.rules.date_outcomes import Outcome
from backfilld.state.rules.gates import WaitReason
from backfilld.state.rules.state_machine import Trigger
from backfilld.state.rules.verdict import Verdict

Counts = dict[str, int]


class Fault(ResponseModel):
    """A field at fault, and why."""

    field: str
    message: str


class Problem(ResponseModel):
    """An error in the format of RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    errors: list[Fault] = Field(default=[], description="the fields at fault")


class Backfill(ResponseModel):
    """A backfill: its options, its status and the state of its dates."""

    id: int
    status: BackfillStatus
    start: dt.date
    end: dt.date
    dates: int
    sources: Sources
    select: list[str] | None = Field(description="the processors whose jobs may run; null: all of them")
    force: bool
    priority: int
    max_failures: int | None
    note: str
    actor: str
    created_at: Time
    stop_reason: str | None
    stuck_on: str | None = Field(description="why a stuck backfill cannot move, and what helps")
    request_outcomes: Counts = Field(description="requested dates by request outcome")
    states: Counts
    outcomes: Counts = Field(description="ended dates by outcome")
    running_attempts: int
    retried: int = Field(default=0, description="failed dates that this retry put back")
    withdrawn: list[str] = Field(default=[], description="dates of this retry with the waivers it withdraws")


class Backfills(ResponseModel):
    """A page of backfills, newest first."""

    items: list[Backfill]
    next_cursor: str | None


class RequestedDate(ResponseModel):
    """One date of a backfill: the request outcome, the state and the outcome of the date."""

    date: dt.date
    request_outcome: EnqueueOutcome = Field(description="what the request did with the date")
    reason: str = Field(description="why the date failed, else why it got its request outcome")
    state: str | None
    outcome: Outcome | None = Field(description="how the date ended")
    waiting_on: str | None


class RequestedDates(ResponseModel):
    """A page of a backfill's dates, oldest first."""

    items: list[RequestedDate]
    next_cursor: str | None


class DateSummary(ResponseModel):
    """One date in a list."""

    date: dt.date
    state: str
    outcome: Outcome | None
    reason: str | None
    waiting: WaitReason | None
    waiting_on: str | None
    season: str | None
    backfill_id: int
    regressed: str | None = Field(description="why the date is no longer complete")
    stale: str | None = Field(
        description="stale outputs with their causes: inputs that changed since, or are stale"
    )


class Dates(ResponseModel):
    """A page of dates, oldest first; `dates` counts all pages, `start` and `end` are those of the request."""

    start: dt.date | None
    end: dt.date | None
    dates: int
    items: list[DateSummary]
    next_cursor: str | None


class Waiver(ResponseModel):
    """Why a date may pass without a complete output of a processor."""

    by: str = Field(description="the operator who accepted it, else the rule: fallback or policy")
    reason: str


class Check(ResponseModel):
    """The latest verdict on one processor and date, with its figures."""

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
    provisional_until: Time | None = Field(description="when a complete output becomes final; null if it is")
    waiver: Waiver | None
    attempts: int
    attempt_id: int | None
    check_log: str | None = Field(description="path of the log of its check command; null before that ran")


class Attempt(ResponseModel):
    """One execution of the job of a processor. `status` is how the job ended, `verdict` what it left."""

    id: int
    processor: str
    phase: str
    status: AttemptStatus
    exit_code: int | None
    verdict: Verdict | None = Field(
        description="what the warehouse held afterwards; the worst of its dates; null before it was queried"
    )
    verdict_reason: str = Field(description="the figures of that verdict")
    detail: str = Field(
        description="why it has no exit code; what of it was left running when it ended, and was ended"
    )
    started_at: Time
    ended_at: Time | None
    duration_seconds: float | None
    tail: str
    last_line: str = Field(
        description="of its log; of a failed job the last one that error_pattern matches, if any"
    )
    max_rss_bytes: int | None
    cpu_seconds: float | None
    dates: list[dt.date]


class Attempts(ResponseModel):
    """A page of attempts, newest first."""

    items: list[Attempt]
    next_cursor: str | None


class Transition(ReportModel):
    """One state change of a date."""

    source: str = Field(serialization_alias="from")
    target: str = Field(serialization_alias="to")
    trigger: Trigger
    reason: str
    actor: str
    at: Time


class DateDetail(ResponseModel):
    """Everything about one date. `state` is null if it was never enqueued and is only a lookback."""

    date: dt.date
    state: str | None
    outcome: Outcome | None
    reason: str | None
    waiting: WaitReason | None
    waiting_on: str | None
    counts: dict[str, int]
    season: str | None
    season_day: int | None
    backfill_id: int | None = Field(description="the backfill that its attempts count for")
    wanted_by: list[int] = Field(description="the backfills that it is live for, the highest priority first")
    version: int | None
    regressed: str | None
    stale: str | None
    processors: list[Check]
    attempts: list[Attempt]
    transitions: list[Transition]
    withdrawn: str | None = Field(default=None, description="the waivers that this retry withdraws, as text")


class DateAnswer(ReportModel):
    """What a request did to one date; `reason` says why it was refused, or which outputs were accepted."""

    date: dt.date
    changed: bool
    reason: str


class DateAnswers(ResponseModel):
    """The answer of every date of a request, oldest first."""

    changed: int
    refused: int
    backfill: int | None = Field(description="the backfill that runs single processors again")
    further: int = Field(description="of a cascade: how many other dates, at most, it makes stale and runs")
    failed_dates: list[dt.date] = Field(description="of a cascade: failed dates with outputs that stay stale")
    blocking_dates: list[dt.date] = Field(
        description="of a cascade: failed dates that the dates wait for until they are retried"
    )
    answers: list[DateAnswer]


class Hold(ReportModel):
    """Something that may not start: until it is released, or a window opens, or a pool has a free slot."""

    kind: Literal["all", "processor", "table", "warehouse", "window", "pool"]
    key: str
    reason: str
    actor: str
    since: Time
    until: Time | None
    text: str = Field(description="what is held, by whom and why")
    derived: bool = Field(description="whether it follows from the pipeline file: no verb releases it")


class Holds(ResponseModel):
    """All holds, oldest first."""

    items: list[Hold]


class Paused(ResponseModel):
    """Whether everything is paused, and all holds."""

    paused: bool
    holds: list[Hold]


class Released(ResponseModel):
    """A hold was released."""

    released: bool
    allowed: int = Field(default=0, description="additional allowance on top of a used-up daily budget")


class Budget(ReportModel):
    """A daily budget: attempts of an output table (`key`), or bytes that the warehouse bills."""

    kind: Literal["table", "warehouse"]
    key: str
    limit: int
    extra: int = Field(description="additional allowance of today")
    spent: int
    resets_at: Time


class Phase(ResponseModel):
    """A phase of the pipeline, with its processors in order."""

    phase: str
    order: Literal["parallel", "sequential"]
    processors: list[str]


class Pipeline(ResponseModel):
    """The pipeline, the states of a date, and their graph as a Mermaid diagram."""

    name: str
    phases: list[Phase]
    tables: list[str] = Field(description="the output tables of all processors")
    states: list[str]
    diagram: str
