"""What goes on right now, as the API tells it."""

from __future__ import annotations

import datetime as dt

from pydantic import Field

from api.schemas.fields import Told
from api.schemas.told import RunningAttempt


class Job(RunningAttempt):
    """A job under way, with the last line that it has written."""

    last_line: str


class Wait(Told):
    """Live dates that wait for the same, with the oldest of them and its sentence."""

    reason: str
    dates: int
    first: dt.date
    waiting_on: str


class Activity(Told):
    """What runs and what waits, the most frequent reason first."""

    running: list[Job] = Field(description="oldest first")
    waiting: list[Wait]
