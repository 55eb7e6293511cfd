"""Requeues ended dates: puts them back to `pending` under their backfills."""

from __future__ import annotations

from collections.abc import Sequence

from backfilld.daemon.engine.context import EngineContext
from backfilld.daemon.events import DateMoved
from backfilld.state.pipeline.phase import PENDING
from backfilld.state.records import DateRow, RunMode
from backfilld.state.rules.machine import Trigger
from backfilld.state.store import backfills, notifications, transitions
from backfilld.state.store.database import Transaction


def requeue(
    tx: Transaction,
    context: EngineContext,
    ended: Sequence[DateRow],
    *,
    mode: RunMode,
    actor: str,
    reason: str,
    cascades: bool = False,
    trigger: Trigger = Trigger.RETRY,
) -> list[DateMoved]:
    """Requeue ended dates, except those whose backfill is still being cancelled. Returns their moves.

    The caller emits the moves after the commit. A cancelled backfill becomes active again for its dates. One
    that is still being cancelled must stay so until its live dates have ended.
    """
    backfill_rows = backfills.get_many(tx, sorted({row.backfill_id for row in ended}))
    cancelled = {backfill_id for backfill_id, row in backfill_rows.items() if row.cancelled_at is not None}
    cancelling = {
        backfill_id
        for backfill_id in cancelled
        if backfills.status(tx, backfill_rows[backfill_id]) == "cancelling"
    }
    for backfill_id in cancelled - cancelling:
        backfills.change(tx, backfill_id, {"cancelled_at": None})
    chosen = [row for row in ended if row.backfill_id not in cancelling]
    transitions.reopen_requests(tx, chosen)
    notifications.reset_end(tx, {row.backfill_id for row in chosen})
    now = context.now()
    transitions.restart(
        tx, chosen, mode=mode, actor=actor, reason=reason, now=now, cascades=cascades, trigger=trigger
    )
    for backfill_id, backfill in backfill_rows.items():
        # Requeued failures must not leave a baseline above the failures that remain.
        backfills.change(
            tx,
            backfill_id,
            {"failures_baseline": min(backfill.failures_baseline, backfills.failed_dates(tx, backfill_id))},
        )
    return [requeued_event(row, trigger, actor=actor, reason=reason) for row in chosen]


def requeued_event(row: DateRow, trigger: Trigger, *, actor: str, reason: str) -> DateMoved:
    """The event of a requeued date; `row` is its state before."""
    return DateMoved(
        date=row.date, source=row.state, target=PENDING, trigger=trigger, reason=reason, actor=actor
    )
