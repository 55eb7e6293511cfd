"""Ended dates are put back to `pending`, under the backfills that hold them."""

from __future__ import annotations

from collections.abc import Sequence

from backfilld.daemon.engine.context import EngineContext
from backfilld.daemon.events import DateMoved
from backfilld.state.pipeline.models import PENDING
from backfilld.state.records import DateRow, RunMode
from backfilld.state.rules.machine import Trigger
from backfilld.state.store import backfills, notifications, transitions
from backfilld.state.store.database import Transaction


def requeue(
    tx: Transaction,
    context: EngineContext,
    held: Sequence[DateRow],
    *,
    mode: RunMode,
    actor: str,
    reason: str,
    cascades: bool = False,
) -> list[DateMoved]:
    """Put ended dates back, and return their moves: without those whose backfill is still being cancelled.

    The moves are to be told once they are committed.

    A cancelled backfill lives again for its dates; one that is being cancelled would take the cancel from
    those that have not ended yet.
    """
    holders = backfills.get_many(tx, sorted({row.backfill_id for row in held}))
    cancelled = {number for number, row in holders.items() if row.cancelled_at is not None}
    cancelling = {number for number in cancelled if backfills.status(tx, holders[number]) == "cancelling"}
    for number in cancelled - cancelling:
        backfills.change(tx, number, {"cancelled_at": None})
    chosen = [row for row in held if row.backfill_id not in cancelling]
    transitions.reopen_requests(tx, chosen)
    notifications.reset_end(tx, {row.backfill_id for row in chosen})
    transitions.restart(
        tx, chosen, mode=mode, actor=actor, reason=reason, now=context.now(), cascades=cascades
    )
    for number, holder in holders.items():
        # What was forgiven and goes back is no credit for failures to come.
        backfills.change(
            tx,
            number,
            {"failures_baseline": min(holder.failures_baseline, backfills.failed_dates(tx, number))},
        )
    return [requeued_event(row, Trigger.RETRY, actor=actor, reason=reason) for row in chosen]


def requeued_event(row: DateRow, trigger: Trigger, *, actor: str, reason: str) -> DateMoved:
    """What is told of a date that starts again; `row` is as it was before."""
    return DateMoved(
        date=row.date, source=row.state, target=PENDING, trigger=trigger, reason=reason, actor=actor
    )
