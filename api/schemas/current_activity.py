"""Response models of the current activity."""

from __future__ import annotations

import datetime as dt

from pydantic import Field

from backfilld.api.schemas.field_types import ResponseModel
from backfilld.api.schemas.progress_models import RunningAttempt
from backfilld.state.rules.gates import WaitReason


class Job(RunningAttempt):
    """A running job with the last line of its output."""

    last_line: str


class WaitGroup(ResponseModel):
    """Live dates that wait for the same reason, with the earliest of them and what it waits on."""

    reason: WaitReason
    dates: int
    first: dt.date
    waiting_on: str


class Activity(ResponseModel):
    """Running jobs and waiting dates, the most frequent reason first."""

    running: list[Job] = Field(description="oldest first")
    waiting: list[WaitGroup]
    stuck: bool = Field(description="dates are live, and each of their backfills is stuck, paused or stopped")
