"""Response models of the calendar: every date that was ever enqueued, in few bytes."""

from __future__ import annotations

import datetime as dt

from pydantic import Field

from backfilld.api.schemas.fields import ResponseModel


class CalendarGroup(ResponseModel):
    """The dates that share a state and an outcome."""

    state: str
    outcome: str | None
    dates: int
    spans: list[tuple[dt.date, dt.date]] = Field(
        description="runs of consecutive dates, each as its first and last, oldest first"
    )


class Calendar(ResponseModel):
    """The state of every date. `version` is also the ETag: it changes whenever a date changes its state."""

    version: str
    dates: int
    start: dt.date | None
    end: dt.date | None
    groups: list[CalendarGroup]
