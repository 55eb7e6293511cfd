"""Holds of processors and output tables: placed by the daemon itself, and felt by every date that waits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from backfilld.daemon.engine.context import ACTOR, EngineContext
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.pipeline.processor import Processor
from backfilld.state.records import HoldRow
from backfilld.state.store import checks, dates, holds
from backfilld.state.store.database import Transaction


def place_hold(
    tx: Transaction, context: EngineContext, kind: str, key: str, *, reason: str, until: float | None = None
) -> bool:
    """Let a processor or an output table start nothing more; False when it was held already.

    What was about to start no longer is, and its dates say why.
    """
    if not holds.place(tx, kind, key, reason=reason, actor=ACTOR, now=context.now(), until=until):
        return False
    names = [name for name, p in context.pipeline.processors.items() if (kind, key) in _places(p)]
    dates.make_dates_due(tx, checks.clear_runnable_by(tx, names), context.now())
    return True


def held_processors(pipeline: Pipeline, placed: Iterable[HoldRow]) -> Mapping[str, str]:
    """The processors that may not start although others may, each with the reason."""
    reasons = {(place_hold.kind, place_hold.key): place_hold.reason for place_hold in placed}
    return {
        name: reasons[place]
        for name, processor in pipeline.processors.items()
        for place in _places(processor)
        if place in reasons
    }


def _places(processor: Processor) -> tuple[tuple[str, str], ...]:
    """Kinds and keys of the holds that keep a processor from starting."""
    return ("table", processor.table), ("processor", processor.name)
