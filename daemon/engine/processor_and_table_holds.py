"""Holds of processors and output tables: by operators, the circuit breaker, budgets and quotas."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from backfilld.daemon.engine.context import ACTOR, EngineContext
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.pipeline.processor import Processor
from backfilld.state.records import HoldRow
from backfilld.state.store import checks, dates, holds
from backfilld.state.store.database import Transaction


def place_hold(
    tx: Transaction,
    context: EngineContext,
    kind: str,
    key: str,
    *,
    reason: str,
    until: float | None = None,
    actor: str = ACTOR,
) -> bool:
    """Hold a processor or an output table: it starts no more jobs. Returns False if it was held already.

    `until` is a time of the calendar, such as the midnight at which a quota is reset.

    Dates that were about to start one become due, so that they show the reason.
    """
    now = context.now()
    if not holds.place(tx, kind, key, reason=reason, actor=actor, now=now, until=until, absolute=True):
        return False
    names = [name for name, p in context.pipeline.processors.items() if (kind, key) in _hold_keys(p)]
    dates.make_dates_due(tx, checks.clear_runnable_by(tx, names), context.now())
    return True


def held_processors(pipeline: Pipeline, active_holds: Iterable[HoldRow]) -> Mapping[str, str]:
    """Held processors, each with the sentence of its hold."""
    reasons = {(hold.kind, hold.key): hold.text for hold in active_holds}
    if not reasons:
        return {}
    return {
        name: reasons[hold_key]
        for name, processor in pipeline.processors.items()
        for hold_key in _hold_keys(processor)
        if hold_key in reasons
    }


def _hold_keys(processor: Processor) -> tuple[tuple[str, str], ...]:
    """Kinds and keys of the holds that apply to a processor."""
    return ("table", processor.table), ("processor", processor.name)
