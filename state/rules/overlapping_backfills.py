"""The backfills that want a date: what they let run together. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from backfilld.state.pipeline.phase import Stage
from backfilld.state.pipeline.processor import Priority, Processor
from backfilld.state.records import BackfillRow, Sources


@dataclass(frozen=True, slots=True)
class Ownership:
    """The owners of a date: the backfills that want it and are not cancelled, the highest priority first."""

    owners: Sequence[BackfillRow]
    restarting: Sequence[BackfillRow] = ()
    """Those that the date is yet to be admitted for: a live date starts again for them."""

    @property
    def sources(self) -> Sources:
        """The widest sources of all owners."""
        return max((o.sources for o in self.owners), key=lambda sources: sources.width, default=Sources.ALL)

    @property
    def selected(self) -> frozenset[str] | None:
        """The processors that any owner selects; None: all of them."""
        selections = [owner.selection for owner in self.owners]
        every = None in selections
        return None if every else frozenset().union(*(s for s in selections if s is not None))

    def selects(self, name: str) -> bool:
        """Whether any owner selects a processor."""
        return self.selected is None or name in self.selected

    def lets_run(self, processor: Processor, *, first_phase: bool) -> bool:
        """Whether the selections and sources of all owners, paused or not, let a processor run."""
        may_run = not first_phase or source_may_run(processor, self.sources)
        return may_run and self.selects(processor.name)

    @property
    def paused(self) -> str:
        """Why no job of the date may start: every owner is paused or stopped; else empty."""
        return "" if any(map(runs, self.owners)) else "; ".join(map(_pause, self.owners))

    def paused_processors(self, stage: Stage, *, first_phase: bool) -> dict[str, str]:
        """The processors of a stage that only paused or stopped owners let run, with the reason."""
        running = Ownership([owner for owner in self.owners if runs(owner)])
        if not running.owners or len(running.owners) == len(self.owners):
            return {}
        text = "; ".join(_pause(owner) for owner in self.owners if not runs(owner))
        return {p.name: text for p in stage.processors if not running.lets_run(p, first_phase=first_phase)}


def source_may_run(processor: Processor, sources: Sources) -> bool:
    """Whether a processor of the first phase may run with these sources."""
    return sources is Sources.ALL or (sources is Sources.CRITICAL and processor.priority is Priority.CRITICAL)


def runs(owner: BackfillRow) -> bool:
    """Whether a backfill, which is not cancelled, starts jobs: it is neither paused nor stopped."""
    return owner.paused_at is None and owner.stopped_at is None


def _pause(owner: BackfillRow) -> str:
    if owner.stopped_at is not None:
        return f"backfill {owner.id} is stopped: {owner.stop_reason}; backfilld resume {owner.id}"
    return f"backfill {owner.id} is paused; backfilld resume {owner.id}"
