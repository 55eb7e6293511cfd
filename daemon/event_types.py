"""Events that the engine emits after a commit, for the log, the metrics and the webhook."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from backfilld.state.records import AttemptStatus
from backfilld.state.rules.state_machine import Trigger


@dataclass(frozen=True, slots=True, kw_only=True)
class DateMoved:
    """A date made a transition."""

    date: dt.date
    source: str
    target: str
    trigger: Trigger
    reason: str
    actor: str


GateResult = Literal["advance", "run", "wait", "fail"]
"""The closed set of gate results: a label of the metric."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateEvaluated:
    """The gate of a date's state was evaluated."""

    phase: str
    result: GateResult


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptStarted:
    """A job was launched."""

    attempt: int
    processor: str
    dates: tuple[dt.date, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptEnded:
    """An attempt ended, whatever its result."""

    attempt: int
    processor: str
    phase: str
    status: AttemptStatus
    exit_code: int | None
    seconds: float
    detail: str = ""
    """Why it has no exit code; what it left running and was ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignWrites:
    """Partitions of done dates were written, and not by an attempt."""

    processor: str
    dates: tuple[dt.date, ...]
    suspect: str
    """The run of the history that may have written the oldest of them."""


IncidentKind = Literal["warehouse", "breaker", "budget", "regressed", "stopped", "backup", "clock"]
"""The closed set of incident kinds: a label of the metric."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """A fault that an operator should know of and that is not tied to one date."""

    kind: IncidentKind
    text: str


Event = DateMoved | GateEvaluated | AttemptStarted | AttemptEnded | ForeignWrites | Incident
EventSink = Callable[[Event], None]
