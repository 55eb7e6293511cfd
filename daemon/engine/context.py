"""What every task of the engine works with."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from backfilld.daemon.event_types import Event, EventSink
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.records import ENGINE
from backfilld.state.rules.state_machine import Machine
from backfilld.state.store.database import Database

ACTOR = ENGINE
"""The actor of transitions that no operator requested."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineContext:
    """One pipeline with its database, clock, random numbers and event sink. Tests replace the last three."""

    pipeline: Pipeline
    machine: Machine
    db: Database
    state_dir: Path
    now: Callable[[], float]
    emit: EventSink
    rng: random.Random = field(default_factory=random.Random)
    steady: Callable[[], float] | None = None
    """A monotonic clock in seconds, by which steps of `now` are detected; None if `now` is never set."""
    status_messages: dict[int, str] = field(default_factory=dict)
    """By attempt id: why it has not begun or is unreachable, as of the latest poll."""
    unreachable: dict[int, str] = field(default_factory=dict)
    """By attempt id: where its job runs or ran, if nothing can be seen of it, as of the latest poll."""
    unavailable: dict[str, str] = field(default_factory=dict)
    """By executor: why it cannot start jobs, as of the latest pass; empty if it can."""
    service: str = ""
    """The systemd service whose sandbox binds the jobs; empty without one."""
    latest_query: dict[str, float] = field(default_factory=dict)
    """`seconds`: how long the latest query of evidence took; empty before the first."""
    blind_ratios: dict[str, float] = field(default_factory=dict)
    """By processor: the share of damages that its rules do not see, as of the latest report."""
    batch: int = 500
    """How many dates one pass advances at most, so that other tasks do not wait long."""
    questions: int = 20_000
    """How many (processor, date) pairs one query may cover."""

    def dates_file(self, attempt: int) -> Path:
        """The file from which a command with {dates_file} reads its dates while its attempt runs."""
        return self.state_dir.joinpath("dates", f"{attempt}.txt")

    def emit_all(self, events: Sequence[Event]) -> None:
        """Emit events in order. Call it after their transaction is committed."""
        for event in events:
            self.emit(event)
