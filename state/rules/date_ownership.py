"""The backfills that want a date: what they let run together. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
        return _widest(self.owners)

    @property
    def selected(self) -> frozenset[str] | None:
        """The processors that any owner selects; None: all of them."""
        return _selected(self.owners)

    @property
    def paused(self) -> str:
        """Why no job of the date may start: every owner is paused or stopped; else empty."""
        return "" if any(map(_runs, self.owners)) else "; ".join(map(_pause, self.owners))

    def paused_processors(self, stage: Stage, *, first_phase: bool) -> dict[str, str]:
        """The processors of a stage that only paused or stopped owners let run, with the reason."""
        running = [owner for owner in self.owners if _runs(owner)]
        if not running or len(running) == len(self.owners):
            return {}
        selected, sources = _selected(running), _widest(running)
        return {
            p.name: "; ".join(_pause(owner) for owner in self.owners if not _runs(owner))
            for p in stage.processors
            if (selected is not None and p.name not in selected)
            or (first_phase and not source_may_run(p, sources))
        }


def source_may_run(processor: Processor, sources: Sources) -> bool:
    """Whether a processor of the first phase may run with these sources."""
    return sources is Sources.ALL or (sources is Sources.CRITICAL and processor.priority is Priority.CRITICAL)


def _selected(owners: Iterable[BackfillRow]) -> frozenset[str] | None:
    selections = [owner.selection for owner in owners]
    return frozenset().union(*(s for s in selections if s is not None)) if None not in selections else None


def _widest(owners: Iterable[BackfillRow]) -> Sources:
    return max((owner.sources for owner in owners), key=lambda sources: sources.width, default=Sources.ALL)


def _runs(owner: BackfillRow) -> bool:
    return owner.paused_at is None and owner.stopped_at is None


def _pause(owner: BackfillRow) -> str:
    if owner.stopped_at is not None:
        return f"backfill {owner.id} is stopped: {owner.stop_reason}; backfilld resume {owner.id}"
    return f"backfill {owner.id} is paused; backfilld resume {owner.id}"
