"""Response models of the calendar: every date that was ever enqueued, in few bytes."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

from pydantic import Field, WithJsonSchema

from backfilld.api.schemas.field_types import ResponseModel
from backfilld.state.rules.date_outcomes import Outcome

Span = Annotated[
    tuple[dt.date, dt.date],
    WithJsonSchema(
        {"type": "array", "items": {"type": "string", "format": "date"}, "minItems": 2, "maxItems": 2}
    ),
]
"""The first and the last of consecutive dates."""


class CalendarGroup(ResponseModel):
    """The dates that share a state and an outcome."""

    state: str
    outcome: Outcome | None
    dates: int
    spans: list[Span] = Field(
        description="runs of consecutive dates, each as its first and last, oldest first"
    )


class Calendar(ResponseModel):
    """The state of every date. `version` is also the ETag: it changes whenever a date changes its state."""

    version: str
    dates: int
    start: dt.date | None
    end: dt.date | None
    groups: list[CalendarGroup]
