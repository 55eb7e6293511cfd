"""Ended dates are put back to `pending`, under the backfills that hold them."""

from __future__ import annotations

from collections.abc import Sequence

from daemon.core import Core
from daemon.events import Moved
from state.machine import Trigger
from state.pipeline import PENDING
from state.records import DateRow, Mode
from state.store import backfills, dates, notices
from state.store.database import Transaction


def put_back(
    tx: Transaction,
    core: Core,
    held: Sequence[DateRow],
    *,
    mode: Mode,
    actor: str,
    reason: str,
    cascades: bool = False,
) -> list[Moved]:
    """Put ended dates back, and return their moves: without those whose backfill is still being cancelled.

    The moves are to be told once they are committed.

    A cancelled backfill lives again for its dates; one that is being cancelled would take the cancel from
    those that have not ended yet.
    """
    holders = backfills.some(tx, sorted({row.backfill_id for row in held}))
    cancelled = {number for number, row in holders.items() if row.cancelled_at is not None}
    cancelling = {number for number in cancelled if backfills.status(tx, holders[number]) == "cancelling"}
    for number in cancelled - cancelling:
        backfills.change(tx, number, {"cancelled_at": None})
    chosen = [row for row in held if row.backfill_id not in cancelling]
    dates.reopen_requests(tx, chosen)
    notices.forget_end(tx, {row.backfill_id for row in chosen})
    dates.restart(tx, chosen, mode=mode, actor=actor, reason=reason, now=core.now(), cascades=cascades)
    for number, holder in holders.items():
        # What was forgiven and goes back is no credit for failures to come.
        backfills.change(tx, number, {"forgiven": min(holder.forgiven, backfills.failed_dates(tx, number))})
    return [back(row, Trigger.RETRY, actor=actor, reason=reason) for row in chosen]


def back(row: DateRow, trigger: Trigger, *, actor: str, reason: str) -> Moved:
    """What is told of a date that starts again; `row` is as it was before."""
    return Moved(date=row.date, source=row.state, target=PENDING, trigger=trigger, reason=reason, actor=actor)
