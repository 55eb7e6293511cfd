"""Holds of processors and output tables: placed by the daemon itself, and felt by every date that waits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from daemon.core import ACTOR, Core
from state.pipeline import Pipeline, Processor
from state.records import HoldRow
from state.store import checks, dates, holds
from state.store.database import Transaction


def hold(
    tx: Transaction, core: Core, kind: str, key: str, *, reason: str, until: float | None = None
) -> bool:
    """Let a processor or an output table start nothing more; False when it was held already.

    What was about to start no longer is, and its dates say why.
    """
    if not holds.place(tx, kind, key, reason=reason, actor=ACTOR, now=core.now(), until=until):
        return False
    names = [name for name, p in core.pipeline.processors.items() if (kind, key) in _places(p)]
    dates.wake_dates(tx, checks.clear_runnable_by(tx, names), core.now())
    return True


def held(pipeline: Pipeline, placed: Iterable[HoldRow]) -> Mapping[str, str]:
    """The processors that may not start although others may, each with the reason."""
    reasons = {(hold.kind, hold.key): hold.reason for hold in placed}
    return {
        name: reasons[place]
        for name, processor in pipeline.processors.items()
        for place in _places(processor)
        if place in reasons
    }


def _places(processor: Processor) -> tuple[tuple[str, str], ...]:
    """Kinds and keys of the holds that keep a processor from starting."""
    return ("table", processor.table), ("processor", processor.name)
