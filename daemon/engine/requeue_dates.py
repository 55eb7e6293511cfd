"""Puts dates back to `pending`: ended ones for the backfills that wanted them, and admitted ones."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from functools import partial

from backfilld.daemon.engine.context import ACTOR, EngineContext
from backfilld.daemon.engine.withdrawn_waiver_messages import with_same_text, withdraw
from backfilld.daemon.event_types import DateMoved
from backfilld.state.pipeline.phase import FAILED, PENDING
from backfilld.state.records import DateRow, RunMode
from backfilld.state.rules.gates import WaitReason
from backfilld.state.rules.overlapping_backfills import runs
from backfilld.state.rules.state_machine import Trigger
from backfilld.state.store import backfill_dates, backfills, sent_notifications, transitions
from backfilld.state.store.database import Transaction
from backfilld.state.store.transitions import DateStatus, Move, Transition


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
    """Requeue ended dates for the backfills that wanted them when they ended. Returns their moves.

    The caller emits the moves after the commit. Where none of these goes on, a failed date returns to others
    for which it failed. Where all were cancelled and there is no other, the lead of the date becomes active
    again for it. Left out are dates whose lead is still being cancelled: it must stay so until its live dates
    have ended. A cascade that failed goes on, and runs nothing that was accepted since.
    """
    others = _other_owners(tx, ended)
    chosen = _return_to_lead(tx, ended, others)
    for date, backfill_id in others.items():
        backfill_dates.reopen_of(tx, backfill_id, [date], ())
    backfill_dates.reopen(tx, chosen)
    chosen_dates = [row.date for row in chosen]
    backfill_dates.elect_leads(tx, chosen_dates)
    now = context.now()
    cascading = {row.date for row in chosen if cascades or (row.cascades and row.state == FAILED)}
    kept = mode is RunMode.NORMAL
    texts = withdraw(tx, chosen_dates, lambda c: not kept or (cascades and c.stale_at is not None))
    for text, rows in with_same_text(chosen, texts).items():
        why = "; ".join(filter(None, (reason, text)))
        restart = partial(transitions.restart, mode=mode, actor=actor, now=now, trigger=trigger)
        restart(tx, rows, reason=why, cascading=cascading)
    owners = backfill_dates.owners(tx, chosen_dates).values()
    returned = Counter(interest.backfill_id for of_date in owners for interest in of_date)
    numbers = sorted(returned)
    _continue_ended(tx, returned)
    # A refresh is no request of an operator: only its failure is sent.
    if actor != ACTOR:
        sent_notifications.reset_end(tx, numbers, now)
    if actor != ACTOR or trigger is Trigger.RECOVER:
        sent_notifications.reset_stuck(tx, numbers)
    lower_baselines(tx, numbers)
    return [requeued_event(row, trigger, actor=actor, reason=reason) for row in chosen]


def lower_baselines(tx: Transaction, numbers: Sequence[int]) -> None:
    """Leave no `failures_baseline` of these backfills above the failures that remain."""
    for backfill in backfills.get_many(tx, numbers).values():
        failed = backfills.failed_dates(tx, backfill.id)
        backfills.change(tx, backfill.id, {"failures_baseline": min(backfill.failures_baseline, failed)})


def readmit(tx: Transaction, context: EngineContext, row: DateRow, reason: str) -> DateMoved:
    """Put an admitted date back to `pending`, from where it starts again. The caller emits the move."""
    now = context.now()
    transition = Transition(trigger=Trigger.READMIT, target=PENDING, reason=reason)
    status = DateStatus(waiting=WaitReason.ENGINE, due_at=now, entered_at=now)
    transitions.move(tx, [Move(row=row, steps=[transition], status=status)], actor=ACTOR, now=now)
    return requeued_event(row, Trigger.READMIT, actor=ACTOR, reason=reason)


def being_cancelled(tx: Transaction, ended: Sequence[DateRow]) -> dict[dt.date, int]:
    """The dates that cannot be requeued yet, with the backfill that is being cancelled."""
    return {row.date: row.backfill_id for row in _orphans(tx, ended, _other_owners(tx, ended))[1]}


def _return_to_lead(tx: Transaction, ended: Sequence[DateRow], others: Collection[dt.date]) -> list[DateRow]:
    """The dates that can be requeued. Their cancelled leads become active where no other backfill is."""
    orphans, cancelling = _orphans(tx, ended, others)
    for lead in backfills.get_many(tx, sorted({row.backfill_id for row in orphans})).values():
        if lead.cancelled_at is not None:
            backfills.change(tx, lead.id, {"cancelled_at": None})
    left_out = {row.date for row in cancelling}
    return [row for row in ended if row.date not in left_out]


def _other_owners(tx: Transaction, ended: Sequence[DateRow]) -> dict[dt.date, int]:
    """The latest other backfill for each date that failed for it, where no owner of the date goes on.

    Those that are paused or stopped are left out where the date has an owner that is not cancelled.
    """
    failed = [row for row in ended if row.state == FAILED]
    last = backfill_dates.last_owners(tx, failed)
    of_others = backfill_dates.failed(tx, [row.date for row in failed])
    numbers = sorted({*of_others, *(number for of_date in last.values() for number in of_date)})
    rows = backfills.get_many(tx, numbers)
    found: dict[dt.date, int] = {}
    for number in sorted(of_others):
        other = rows[number]
        for date in of_others[number] if other.cancelled_at is None else ():
            owners = [rows[n] for n in last.get(date, ())]
            if not any(map(runs, owners)) and (not owners or runs(other)):
                found[date] = number
    return found


def _continue_ended(tx: Transaction, returned: Mapping[int, int]) -> None:
    """Let backfills go on that had ended and were stopped; `returned`: how many dates each got back."""
    for backfill in backfills.get_many(tx, sorted(returned)).values():
        if backfill.stopped_at is not None and backfills.live_dates(tx, backfill.id) == returned[backfill.id]:
            baseline = backfills.failed_dates(tx, backfill.id)
            changes: dict[str, object] = {"stopped_at": None, "stop_reason": ""}
            backfills.change(tx, backfill.id, {**changes, "failures_baseline": baseline})


def _orphans(
    tx: Transaction, ended: Sequence[DateRow], others: Collection[dt.date]
) -> tuple[list[DateRow], list[DateRow]]:
    """The dates whose owners were all cancelled: those whose lead can be active again, and the other ones.

    Without `others`, which return to another backfill.
    """
    wanted = {*backfill_dates.last_owners(tx, ended), *others}
    orphans = [row for row in ended if row.date not in wanted]
    leads = backfills.get_many(tx, sorted({row.backfill_id for row in orphans})).values()
    cancelling = {lead.id for lead in leads if backfills.status(tx, lead) == "cancelling"}
    return (
        [row for row in orphans if row.backfill_id not in cancelling],
        [row for row in orphans if row.backfill_id in cancelling],
    )


def requeued_event(row: DateRow, trigger: Trigger, *, actor: str, reason: str) -> DateMoved:
    """The event of a requeued date; `row` is its state before."""
    return DateMoved(
        date=row.date, source=row.state, target=PENDING, trigger=trigger, reason=reason, actor=actor
    )
