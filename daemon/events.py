"""What the engine tells after a commit: the log and the metrics listen."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from backfilld.state.records import AttemptStatus
from backfilld.state.rules.machine import Trigger


@dataclass(frozen=True, slots=True, kw_only=True)
class DateMoved:
    """A date made a transition."""

    date: dt.date
    source: str
    target: str
    trigger: Trigger
    reason: str
    actor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GateEvaluated:
    """A date was decided upon."""

    phase: str
    result: str
    """advance, run, wait or fail."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptStarted:
    """A job was launched."""

    attempt: int
    processor: str
    dates: tuple[dt.date, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptEnded:
    """A job ended, however it ended."""

    attempt: int
    processor: str
    phase: str
    status: AttemptStatus
    exit_code: int | None
    seconds: float


IncidentKind = Literal["warehouse", "breaker", "budget", "regressed", "stopped", "backup", "clock"]
"""What trouble is about: the closed set by which it is counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """Something a person should know of that belongs to no date: an outage, a breaker, a budget."""

    kind: IncidentKind
    text: str


Event = DateMoved | GateEvaluated | AttemptStarted | AttemptEnded | Incident
EventSink = Callable[[Event], None]
