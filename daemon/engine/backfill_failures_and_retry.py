"""Changes to backfills as their dates end: stops, retries, settled interests, attempts that are let go."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable

from backfilld.daemon.engine.context import EngineContext
from backfilld.daemon.engine.owning_backfills import selected_when_done
from backfilld.daemon.engine.requeue_dates import lower_baselines, requeue
from backfilld.daemon.event_types import DateMoved, Incident
from backfilld.state.formatting import pluralize
from backfilld.state.pipeline.phase import DONE, FAILED
from backfilld.state.records import Actor, AttemptStatus, BackfillRow, DateRow, RunMode
from backfilld.state.rules.state_machine import FINAL
from backfilld.state.store import (
    attempts,
    backfill_dates,
    backfills,
    checks,
    dates,
    reset_checks,
    sent_notifications,
)
from backfilld.state.store.database import Transaction


def record_failure(tx: Transaction, context: EngineContext, backfill: BackfillRow) -> list[Incident]:
    """After dates of a backfill have failed: stop it at `max_failures`. Returns the incident, if it does.

    Where its end was sent already, as before a refresh, it is sent again.
    """
    sent_notifications.reset_end(tx, [backfill.id], context.now())
    if backfill.max_failures is None or backfill.stopped_at is not None:
        return []
    failed = backfills.failed_dates(tx, backfill.id) - backfill.failures_baseline
    if failed < backfill.max_failures:
        return []
    reason = f"{pluralize(failed, 'date')} failed, max_failures is {backfill.max_failures}"
    now = context.now()
    backfills.change(tx, backfill.id, {"stopped_at": now, "stop_reason": reason})
    checks.clear_runnable_of(tx, backfill.id)
    dates.make_backfill_due(tx, backfill.id, now)
    return [Incident(kind="stopped", text=f"backfill {backfill.id} is stopped: {reason}")]


def cancel_unwanted(tx: Transaction) -> None:
    """Mark the running attempts as cancelled of which no backfill wants a date; the next pass stops them.

    Attempts that other backfills want go on, and count for the lead of their first wanted date.
    """
    running = {row.id: row for row in attempts.running(tx)}
    covered = attempts.covered(tx, running)
    wanted = backfill_dates.owners(tx, {date for of_attempt in covered.values() for date in of_attempt})
    numbers = {interest.backfill_id for of_date in wanted.values() for interest in of_date}
    rows = backfills.get_many(tx, sorted(numbers))
    owners = {
        number: [
            interest
            for date in covered[number]
            for interest in wanted.get(date, ())
            if rows[interest.backfill_id].selects(attempt.processor)
        ]
        for number, attempt in running.items()
    }
    attempts.mark_stopping(
        tx, [n for n, of_attempt in owners.items() if not of_attempt], AttemptStatus.CANCELLED
    )
    handed_over = {
        number: of_attempt[0].backfill_id
        for number, of_attempt in owners.items()
        if of_attempt and running[number].backfill_id not in {i.backfill_id for i in of_attempt}
    }
    attempts.reassign(tx, handed_over)


def take_over(tx: Transaction, context: EngineContext, requested: Collection[dt.date]) -> None:
    """Have a request go on with live dates of backfills that are being cancelled, which no other one wants.

    Attempts of those count for nothing, also those that run until the cancel has ended them. No output is
    rewritten for them: the rows are queried and judged as they are.
    """
    taken_over = backfill_dates.withdraw_cancelled(tx, requested)
    if taken_over:
        backfill_dates.elect_leads(tx, taken_over)
        reset_checks.forget_request(tx, taken_over)
        known = checks.for_dates(tx, taken_over, context.pipeline.processors)
        ended = [c for of_date in known.values() for c in of_date.values() if c.attempt_id is None]
        checks.request_check(tx, [(check.date, check.processor) for check in ended], context.now())
        dates.make_dates_due(tx, sorted(taken_over), context.now())


def retry_failed(
    tx: Transaction, context: EngineContext, backfill: BackfillRow, failed: Collection[dt.date], by: Actor
) -> list[DateMoved]:
    """Requeue the dates that failed for a backfill, which is active again. Returns their moves.

    It joins those that are live for other backfills, and takes them over from cancelled ones; they start
    again for it where it forces, or selects more. Those that are done since count as done for it, unless they
    are done only as far as others selected.
    """
    active: dict[str, object] = {
        "cancelled_at": None,
        "stopped_at": None,
        "stop_reason": "",
        "failures_baseline": 0,
    }
    backfills.change(tx, backfill.id, active)
    rows = dates.get_many(tx, failed).values()
    done = [row for row in rows if row.state == DONE]
    narrow = _done_for_less(tx, backfill, done)
    backfill_dates.settle(tx, backfill.id, [row for row in done if row not in narrow])
    live = [row.date for row in rows if row.state not in FINAL]
    restarting = (
        live if backfill.force else backfill_dates.widened(tx, live, backfill.selection, backfill.sources)
    )
    ended = [*(row for row in rows if row.state == FAILED), *narrow]
    backfill_dates.reopen_of(tx, backfill.id, [*live, *(row.date for row in ended)], restarting)
    take_over(tx, context, live)
    backfill_dates.elect_leads(tx, live)
    reason = f"retry of backfill {backfill.id}"
    return requeue(tx, context, ended, mode=RunMode.RETRY, actor=by.name, reason=reason)


def settle(tx: Transaction, ended: Iterable[DateRow]) -> None:
    """Record dates that are done now for the backfills for which they had failed.

    Left out are dates that are done only as far as others selected, where the backfill selects more.
    """
    failed = backfill_dates.failed(tx, [row.date for row in ended])
    for backfill in backfills.get_many(tx, sorted(failed)).values():
        done = dates.get_many(tx, failed[backfill.id]).values()
        narrow = _done_for_less(tx, backfill, done)
        backfill_dates.settle(tx, backfill.id, [row for row in done if row not in narrow])
    lower_baselines(tx, sorted(failed))


def _done_for_less(tx: Transaction, backfill: BackfillRow, done: Collection[DateRow]) -> list[DateRow]:
    """The dates that are done as far as others selected, where the backfill selects more."""
    selected = selected_when_done(tx, done)
    return [row for row in done if row.date in selected and not _covers(selected[row.date], backfill)]


def _covers(selected: frozenset[str], backfill: BackfillRow) -> bool:
    return backfill.selection is not None and selected.issuperset(backfill.selection)
