"""What can be asked: paths, queries, bodies and headers. Unknown keys are refused."""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator
from pydantic.json_schema import WithJsonSchema

from backfilld.api.schemas.fields import (
    Bytes,
    DateCursor,
    Flag,
    Id,
    Limit,
    Lines,
    NumberCursor,
    PlainDate,
    Reason,
    Text,
    fault,
    whole_number,
)
from backfilld.daemon.engine.enqueue import EARLIEST, MOST_DATES
from backfilld.state.pipeline.strict_model import StrictModel
from backfilld.state.records import Action, AttemptStatus, Mark, Sources


def _statuses(value: object) -> object:
    """Each of the texts between commas; the fault is the parameter's, not that of one of its parts."""
    if not isinstance(value, str):
        return value
    known = [status.value for status in AttemptStatus]
    if unknown := [word for word in value.split(",") if word not in known]:
        raise ValueError(f"'{unknown[0]}' is no status; known are {', '.join(known)}")
    return tuple(map(AttemptStatus, value.split(",")))


Statuses = Annotated[
    tuple[AttemptStatus, ...],
    BeforeValidator(_statuses),
    WithJsonSchema(
        {"type": "string", "description": f"any of {', '.join(AttemptStatus)}, with commas between them"}
    ),
]
"""Statuses of attempts, in a query."""


class ById(StrictModel):
    """A backfill or an attempt in a path."""

    id: Id


class ByDate(StrictModel):
    """A date in a path."""

    date: PlainDate


def _without_key(kind: object) -> object:
    if kind in ("processor", "table"):
        raise ValueError(f"needs the name of the {kind}: DELETE /v1/holds/{kind}/KEY")
    return kind


class ByKind(StrictModel):
    """The hold of a kind that needs no key, in a path."""

    kind: Annotated[Literal["warehouse"], BeforeValidator(_without_key)]


class ByHold(StrictModel):
    """A hold in a path: of a processor, or of an output table."""

    kind: Literal["processor", "table"]
    key: Annotated[Text, Field(min_length=1)]


class Extra(StrictModel):
    """What is allowed beyond a spent daily budget: attempts of a table, bytes of the warehouse."""

    extra: Annotated[int, Field(ge=1, le=10**15), BeforeValidator(whole_number)] | None = None


class IdempotencyKey(StrictModel):
    """The header that makes a repeated request harmless."""

    idempotency_key: Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,255}$")] | None = None


class IfNoneMatch(StrictModel):
    """The header that makes asking again cheap: the ETag of the answer before."""

    if_none_match: Annotated[str, Field(max_length=500)] | None = None


class EmptyBody(StrictModel):
    """An empty body: the request needs none."""

    @classmethod
    def _unknown(cls, key: object) -> str:
        return f"unknown key '{key}'; nothing is needed here"


class Page(StrictModel):
    """How much of a list."""

    limit: Limit = 100


class BackfillsPage(Page):
    """A page of backfills, newest first."""

    cursor: NumberCursor | None = None


class BackfillDatesPage(Page):
    """A page of a backfill's dates, oldest first."""

    cursor: DateCursor | None = None


class DatesPage(Page):
    """A page of dates, oldest first; `state` is one state, or several with commas between them."""

    start: PlainDate | None = None
    end: PlainDate | None = None
    state: Annotated[str, Field(min_length=1, max_length=500)] | None = None
    mark: Annotated[Mark, Field(strict=False)] | None = None
    cursor: DateCursor | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        _refuse_reversed(self.start, self.end)
        return self


class Range(StrictModel):
    """The range of a report, both ends included; without `end` it is one date."""

    start: PlainDate
    end: PlainDate | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        _refuse_reversed(self.start, self.end)
        _refuse_wide("end", self.start, self.end or self.start)
        return self


class PlanRange(Range):
    """The range of a plan, and which sources it may run."""

    sources: Annotated[Sources, Field(strict=False)] = Sources.ALL


class AttemptsPage(Page):
    """A page of attempts, newest first; `status` is one, or several with commas between them.

    `failed`: those that ended otherwise than with exit code 0 and were not cancelled; false for all others.
    """

    status: Statuses | None = None
    failed: Flag | None = None
    processor: Annotated[str, Field(min_length=1, max_length=80)] | None = None
    cursor: NumberCursor | None = None


class LogPart(StrictModel):
    """Which part of a log: its last lines, or what follows a byte; neither: all. At most `limit` bytes."""

    tail: Lines | None = None
    offset: Bytes | None = None
    limit: Bytes | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if self.tail is not None and self.offset is not None:
            raise fault("offset", "excludes tail; keep one of them")
        return self


class Verbose(StrictModel):
    """Whether every check is listed."""

    verbose: Annotated[str, Field(max_length=10)] | None = None


class NewBackfill(StrictModel):
    """A request for a range (`start` to `end`, both included) or a list of dates."""

    start: PlainDate | None = None
    end: PlainDate | None = None
    dates: (
        Annotated[tuple[PlainDate, ...], Field(min_length=1, max_length=MOST_DATES, strict=False)] | None
    ) = None
    sources: Annotated[Sources, Field(strict=False)] = Sources.ALL
    force: bool = False
    priority: Annotated[int, Field(ge=-100, le=100)] = 0
    max_failures: Annotated[int, Field(ge=1, le=MOST_DATES)] | None = None
    note: Text = ""
    dry_run: bool = False

    @model_validator(mode="after")
    def _range_or_list(self) -> Self:
        if self.dates is not None:
            if self.start is not None or self.end is not None:
                raise fault("dates", "excludes start and end; keep one of the two")
            _refuse_wide("dates", min(self.dates), max(self.dates))
        elif self.start is None:
            raise fault("start", "is missing; give start and end, or dates")
        else:
            _refuse_reversed(self.start, self.end)
            _refuse_wide("end", self.start, self.end or self.start)
        return self

    @property
    def chosen(self) -> tuple[dt.date, ...]:
        """The dates that are asked for, in order, none twice."""
        if self.dates is not None:
            return tuple(sorted(set(self.dates)))
        first = self.start or EARLIEST
        last = self.end or first
        return tuple(map(dt.date.fromordinal, range(first.toordinal(), last.toordinal() + 1)))

    @property
    def digest(self) -> str:
        """The same for the same request, however its JSON was written."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


class Pause(StrictModel):
    """Why everything is paused."""

    reason: Text = ""


class RetryDate(StrictModel):
    """How a date is put back: `force` runs every processor once, whatever its verdict.

    `cascade` runs those of sequential phases once, and those of every date that is stale because of it.
    """

    force: bool = False
    cascade: bool = False


class RetryMarked(StrictModel):
    """Which marked dates are put back: all, or those from `start` to `end`, both included."""

    mark: Annotated[Mark, Field(strict=False)]
    start: PlainDate | None = None
    end: PlainDate | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        _refuse_reversed(self.start, self.end)
        return self


class Accept(StrictModel):
    """The gap that is accepted, and why."""

    processor: Annotated[str, Field(min_length=1, max_length=80)]
    reason: Reason


class AuditPage(Page):
    """A page of the audit, newest first; `start` and `end` are days in UTC, both included."""

    actor: Annotated[str, Field(min_length=1, max_length=80)] | None = None
    action: Annotated[Action, Field(strict=False)] | None = None
    target: Annotated[str, Field(min_length=1, max_length=600)] | None = None
    start: PlainDate | None = None
    end: PlainDate | None = None
    cursor: NumberCursor | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        _refuse_reversed(self.start, self.end)
        return self


class Login(StrictModel):
    """The token that opens a session."""

    token: Annotated[str, Field(min_length=1, max_length=200)]


def _refuse_reversed(start: dt.date | None, end: dt.date | None) -> None:
    if start is not None and end is not None and end < start:
        raise fault("end", f"{end} is before start {start}")


def _refuse_wide(field: str, first: dt.date, last: dt.date) -> None:
    days = (last - first).days + 1
    if days > MOST_DATES:
        raise fault(field, f"{first} to {last} is {days} days; one request takes at most {MOST_DATES}")
