"""The answer to a request for a backfill."""

from __future__ import annotations

import datetime as dt

from pydantic import Field

from backfilld.api.schemas.field_types import ResponseModel
from backfilld.api.schemas.responses import Counts
from backfilld.state.records import EnqueueOutcome


class DateResult(ResponseModel):
    """The request outcome of one date; `verdicts` are the evidence that it is already done."""

    date: dt.date
    outcome: EnqueueOutcome
    reason: str
    verdicts: Counts = Field(default={}, description="processors by verdict")


class EnqueueResult(ResponseModel):
    """The result of a request; `outcomes` counts request outcomes. The id of a dry run is null."""

    id: int | None
    start: dt.date
    end: dt.date
    dates: int
    select: list[str] | None = Field(description="the processors whose jobs may run; null: all of them")
    outcomes: Counts
    becomes_stale: Counts = Field(
        default={},
        description="by processor: on how many dates, at most, its output becomes stale; also later ones",
    )
    warnings: list[str] = Field(default=[], description="contradictions between calendar and seasons")
    details: list[DateResult]
