"""Request models of paths, headers and queries other than those of lists. Unknown keys are rejected."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from backfilld.api.schemas.field_types import (
    Bytes,
    Flag,
    Id,
    Lines,
    PlainDate,
    Text,
    fault,
    whole_number,
)
from backfilld.api.schemas.filter_field_types import TermList
from backfilld.api.schemas.range_validators import (
    refuse_reversed,
    refuse_wide,
)
from backfilld.state.pipeline.strict_model import StrictModel
from backfilld.state.records import Sources


class ById(StrictModel):
    """A backfill or an attempt in a path."""

    id: Id


class ByDate(StrictModel):
    """A date in a path."""

    date: PlainDate


class ByOutput(ByDate):
    """A date and a processor in a path."""

    processor: str


def _without_key(kind: object) -> object:
    if kind in ("processor", "table", "window", "pool"):
        raise ValueError(f"needs the name of the {kind}: DELETE /v1/holds/{kind}/KEY")
    if kind != "warehouse":
        raise ValueError(_unknown(kind))
    return kind


def _with_key(kind: object) -> object:
    if kind == "warehouse":
        raise ValueError("warehouse has one hold, without a key: DELETE /v1/holds/warehouse releases it")
    if kind not in ("processor", "table", "window", "pool"):
        raise ValueError(_unknown(kind))
    return kind


def _unknown(kind: object) -> str:
    if kind == "all":
        return "all is the global pause: POST /v1/resume ends it"
    return f"'{kind}' is not known; use 'warehouse', 'processor/KEY' or 'table/KEY'"


class ByKind(StrictModel):
    """A hold that has no key, in a path."""

    kind: Annotated[Literal["warehouse"], BeforeValidator(_without_key)]


class ByHold(StrictModel):
    """The hold of a processor or an output table, or a derived one, in a path."""

    kind: Annotated[Literal["processor", "table", "window", "pool"], BeforeValidator(_with_key)]
    key: Annotated[Text, Field(min_length=1)]


class Extra(StrictModel):
    """Additional allowance on top of a used-up daily budget: attempts of a table, bytes of the warehouse."""

    extra: Annotated[int, Field(ge=1, le=10**15), BeforeValidator(whole_number)] | None = None


class IdempotencyKey(StrictModel):
    """The header that makes a request safe to repeat."""

    idempotency_key: Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,255}$")] | None = None


class IfNoneMatch(StrictModel):
    """The ETag of the previous response, for cheap polling."""

    if_none_match: Annotated[str, Field(max_length=500)] | None = None


class Range(StrictModel):
    """The range of a report, both ends included; without `end` it is the date `start`."""

    start: PlainDate
    end: PlainDate | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        refuse_reversed(self.start, self.end)
        refuse_wide("end", self.start, self.end or self.start)
        return self


class PlanRange(Range):
    """The range of a plan, and what it may run: as in a request for the dates; terms between commas."""

    sources: Annotated[Sources, Field(strict=False)] = Sources.ALL
    select: TermList | None = None
    exclude: TermList | None = None
    with_upstream: Flag = False
    force: Flag = False


class ComparisonRange(Range):
    """The range of a comparison, and the test window within it; by default two weeks are chosen."""

    window_start: PlainDate | None = None
    window_end: PlainDate | None = None

    @property
    def window(self) -> tuple[dt.date, dt.date] | None:
        """The test window, where one is stated."""
        if self.window_start is None:
            return None
        return self.window_start, self.window_end or self.window_start

    @model_validator(mode="after")
    def _within(self) -> Self:
        if self.window_start is None and self.window_end is not None:
            raise fault("window_start", "is missing; give both ends of the window")
        if self.window and self.window[1] < self.window[0]:
            raise fault("window_end", f"{self.window[1]} is before window_start {self.window[0]}")
        if self.window and not self.start <= self.window[0] <= self.window[1] <= (self.end or self.start):
            raise fault("window_start", f"{self.window[0]}..{self.window[1]} is not within the range")
        return self


class LogPart(StrictModel):
    """Part of a log: its last `tail` lines, or everything from `offset` on, or all; at most `limit` bytes."""

    tail: Lines | None = None
    offset: Bytes | None = None
    limit: Bytes | None = None

    @model_validator(mode="after")
    def _tail_or_offset(self) -> Self:
        if self.tail is not None and self.offset is not None:
            raise fault("offset", "excludes tail; give one of the two")
        return self


def _verbose(value: object) -> bool:
    """Whether the probe is verbose: `?verbose` alone is, as for the probes of Kubernetes."""
    words = {"": True, "true": True, "1": True, "false": False, "0": False}
    if value not in words:
        raise ValueError(f"'{value}' is neither true nor false; write ?verbose or ?verbose=true")
    return words[str(value)]


class Verbose(StrictModel):
    """With `verbose` every check is listed."""

    verbose: Annotated[bool, BeforeValidator(_verbose)] = False
