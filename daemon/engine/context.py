"""What every duty of the engine works with."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from backfilld.daemon.events import Event, EventSink
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.rules.machine import Machine
from backfilld.state.store.database import Database

ACTOR = "engine"
"""Who history names for moves that nobody asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineContext:
    """One pipeline, its database, and the world's clock and dice, so that tests own both."""

    pipeline: Pipeline
    machine: Machine
    db: Database
    state_dir: Path
    now: Callable[[], float]
    emit: EventSink
    rng: random.Random = field(default_factory=random.Random)
    steady: Callable[[], float] | None = None
    """Seconds of a clock that nobody sets, which shows when `now` is set; None: nobody sets that either."""
    status_messages: dict[int, str] = field(default_factory=dict)
    """What keeps running attempts from beginning or from being seen, as of the latest look at them."""
    unavailable: dict[str, str] = field(default_factory=dict)
    """By executor, what has to come before a job can start there, as of the latest look."""
    batch: int = 500
    """How many dates one pass moves at most, so that nothing else waits long."""
    questions: int = 20_000
    """How many (processor, date) pairs one question may ask about."""

    def dates_file(self, attempt: int) -> Path:
        """The file that a command with {dates_file} reads its dates from, while its attempt runs."""
        return self.state_dir / "dates" / f"{attempt}.txt"

    def emit_all(self, events: Sequence[Event]) -> None:
        """Tell events in order; only what is committed is told."""
        for event in events:
            self.emit(event)
