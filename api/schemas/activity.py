"""What goes on right now, as the API tells it."""

from __future__ import annotations

import datetime as dt

from pydantic import Field

from backfilld.api.schemas.fields import ResponseModel
from backfilld.api.schemas.responses import RunningAttempt


class Job(RunningAttempt):
    """A job under way, with the last line that it has written."""

    last_line: str


class Wait(ResponseModel):
    """Live dates that wait for the same, with the oldest of them and its sentence."""

    reason: str
    dates: int
    first: dt.date
    waiting_on: str


class Activity(ResponseModel):
    """What runs and what waits, the most frequent reason first."""

    running: list[Job] = Field(description="oldest first")
    waiting: list[Wait]
