"""What the decision about a date needs beside its verdicts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from backfilld.state.records import Sources
from backfilld.state.rules.closed_hours import Closed


@dataclass(frozen=True, slots=True, kw_only=True)
class GateContext:
    """Whether jobs of a date may run now, and which. Times are epoch seconds."""

    now: float
    entered_at: float
    """When the evidence was queried that let the date into its state."""
    sources: Sources = Sources.ALL
    first_phase: bool = False
    selected: frozenset[str] | None = None
    """The processors that may run; None: all of them."""
    needed: frozenset[str] = frozenset()
    """The processors that are not selected, and that a selected one is computed from."""
    paused: str = ""
    """Why no job of this date may start, or empty."""
    paused_processors: Mapping[str, str] = field(default_factory=dict)
    """The processors that only paused backfills let run, with the reason, while others go on."""
    held: Mapping[str, str] = field(default_factory=dict)
    """The processors that may not start, with the reason."""
    closed: Mapping[str, Closed] = field(default_factory=dict)
    """The processors that a window lets start no job now."""
    missing_upstream: Mapping[str, str] = field(default_factory=dict)
    """The processors that need an earlier date which is not satisfied, with its name."""
    blocks_entry: str = ""
    """The name of an earlier date that every processor of the next state waits for; or empty."""
