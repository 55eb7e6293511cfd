"""Stores a request for dates: the backfill, its interests, new and requeued dates, the audit row."""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter
from collections.abc import Collection, Mapping
from functools import partial

from backfilld.daemon.engine.backfill_failures_and_retry import take_over
from backfilld.daemon.engine.context import ACTOR, EngineContext
from backfilld.daemon.engine.enqueue_models import DateResult, EnqueueRequest
from backfilld.daemon.engine.requeue_dates import requeued_event
from backfilld.daemon.engine.withdrawn_waiver_messages import with_same_text, withdraw
from backfilld.daemon.event_types import DateMoved
from backfilld.state.pipeline.phase import DONE, FAILED, PENDING
from backfilld.state.records import Action, DateRow, EnqueueOutcome, RunMode
from backfilld.state.rules.gates import WaitReason
from backfilld.state.rules.state_machine import FINAL, Trigger
from backfilld.state.store import (
    audit,
    backfill_dates,
    backfills,
    dates,
    drop_forced_rewrites,
    new_dates,
    transitions,
)
from backfilld.state.store.backfills import BackfillDateRow
from backfilld.state.store.database import Transaction

_WANTED = (EnqueueOutcome.ENQUEUED, EnqueueOutcome.JOINED)
"""The outcomes of dates that the new backfill wants."""
_MODES: Mapping[str, RunMode] = {DONE: RunMode.NORMAL, FAILED: RunMode.RETRY}
"""How ended dates run again for a new backfill, by their state."""
_RECORDED = ("sources", "selection", "force", "priority", "max_failures", "note")
"""Options of a request that its audit row records."""


def store(
    tx: Transaction,
    context: EngineContext,
    request: EnqueueRequest,
    existing: Mapping[dt.date, DateRow],
    details: list[DateResult],
) -> tuple[int, list[DateMoved]]:
    """Store a request with the outcome of each date. Returns its id, and the moves of dates it changes."""
    backfill_id = _create(tx, context, request)
    moves = _store_dates(tx, context, backfill_id, request, existing, details)
    _record(tx, context, backfill_id, request, details)
    return backfill_id, moves


def store_retry(
    tx: Transaction, context: EngineContext, request: EnqueueRequest, ended: Mapping[dt.date, DateRow]
) -> tuple[int, list[DateMoved]]:
    """Store a request that runs single processors of ended dates again. Returns its id, and the moves.

    Outputs of other processors that an operator has accepted stay accepted. The caller writes the audit row.
    """
    backfill_id = _create(tx, context, request)
    details = [DateResult(date=date, outcome=EnqueueOutcome.ENQUEUED) for date in request.dates]
    backfills.add_dates(
        tx, backfill_id, [_requested(d, live=True, restarts=True, row=ended[d.date]) for d in details]
    )
    modes = {DONE: RunMode.NORMAL, FAILED: RunMode.NORMAL}
    return backfill_id, _take_over(tx, context, backfill_id, request, list(ended.values()), modes)


def _create(tx: Transaction, context: EngineContext, request: EnqueueRequest) -> int:
    return backfills.create(
        tx,
        {
            "start": request.dates[0],
            "end": request.dates[-1],
            "dates": len(request.dates),
            "sources": request.sources.value,
            "force": int(request.force),
            "selection": None if request.selection is None else json.dumps(request.selection),
            "priority": request.priority,
            "max_failures": request.max_failures,
            "note": request.note,
            "actor": request.by.name,
            "created_at": context.now(),
            "request_key": request.key,
            "request_hash": request.digest,
        },
    )


def _store_dates(
    tx: Transaction,
    context: EngineContext,
    backfill_id: int,
    request: EnqueueRequest,
    existing: Mapping[dt.date, DateRow],
    details: list[DateResult],
) -> list[DateMoved]:
    """Store the dates of the new backfill. Returns the moves of dates that it changes."""
    live = [row.date for row in existing.values() if row.state not in FINAL]
    widened = backfill_dates.widened(tx, live, request.selection, request.sources)
    backfills.add_dates(
        tx,
        backfill_id,
        [
            _requested(
                d,
                live=d.outcome in _WANTED,
                restarts=request.force or d.date in widened,
                row=existing.get(d.date),
            )
            for d in details
        ],
    )
    new = [detail for detail in details if detail.date not in existing]
    season_of = context.pipeline.seasons.season
    seasons = ((d.date, season.name if (season := season_of(d.date)) else "") for d in new)
    new_dates.create(tx, backfill_id, seasons, actor=ACTOR, now=context.now())
    wanted = [existing[d.date] for d in details if d.date in existing and d.outcome in _WANTED]
    _share(tx, context, backfill_id, request, widened, [row for row in wanted if row.state not in FINAL])
    ended = [row for row in wanted if row.state in FINAL]
    taken_over = _take_over(tx, context, backfill_id, request, ended, _MODES)
    dismissed = [_dismissed(d) for d in new if d.outcome is EnqueueOutcome.NOT_EXPECTED]
    return [*dismissed, *taken_over]


def _share(
    tx: Transaction,
    context: EngineContext,
    backfill_id: int,
    request: EnqueueRequest,
    widened: Collection[dt.date],
    live: list[DateRow],
) -> None:
    """Add this backfill to the owners of live dates; evaluate those that it may let go on.

    What it forces loses its waiver now and not when the date starts again: what is accepted until then stays.
    """
    live_dates = [row.date for row in live]
    take_over(tx, context, live_dates)
    backfill_dates.join(tx, backfill_id, request.priority)
    if request.force:
        withdraw(tx, live_dates, partial(request.runs_again, failed=False))
    may_go_on = (WaitReason.PAUSED, WaitReason.ATTEMPT, WaitReason.UNSELECTED)
    due = [row.date for row in live if request.force or row.date in widened or row.waiting in may_go_on]
    dates.make_dates_due(tx, due, context.now())


def _record(
    tx: Transaction,
    context: EngineContext,
    backfill_id: int,
    request: EnqueueRequest,
    details: list[DateResult],
) -> None:
    options = {name: getattr(request, name) for name in _RECORDED}
    range_facts = {
        "start": str(request.dates[0]),
        "end": str(request.dates[-1]),
        "dates": len(request.dates),
    }
    outcomes = Counter(detail.outcome.value for detail in details)
    after = {**range_facts, **options, "outcomes": dict(outcomes)}
    target, now = f"backfill {backfill_id}", context.now()
    audit.record(tx, request.by, Action.ENQUEUE, target, before=None, after=after, now=now)


def _take_over(
    tx: Transaction,
    context: EngineContext,
    backfill_id: int,
    request: EnqueueRequest,
    ended: list[DateRow],
    modes: Mapping[str, RunMode],
) -> list[DateMoved]:
    """Requeue ended dates under this backfill, in the mode of the state that each ended in."""
    reason, now = f"backfill {backfill_id}", context.now()
    drop_forced_rewrites.forget(tx, [row.date for row in ended])
    for state, mode in modes.items():
        ended_in_state = [row for row in ended if row.state == state]
        restart = partial(transitions.restart, mode=mode, actor=request.by.name, now=now)
        runs = partial(request.runs_again, failed=mode is RunMode.RETRY)
        texts = withdraw(tx, [row.date for row in ended_in_state], runs)
        for text, rows in with_same_text(ended_in_state, texts).items():
            restart(tx, rows, reason="; ".join(filter(None, (reason, text))))
        dates.reassign(tx, [row.date for row in ended_in_state], backfill_id, request.priority)
    return [requeued_event(row, Trigger.RETRY, actor=request.by.name, reason=reason) for row in ended]


def _requested(detail: DateResult, *, live: bool, restarts: bool, row: DateRow | None) -> BackfillDateRow:
    """A requested date as it is stored. A live date goes on from its state where it can."""
    starts = row is None or row.state in (*FINAL, PENDING)
    return BackfillDateRow(
        date=detail.date,
        answer=detail.outcome.value,
        reason=detail.reason,
        verdicts=detail.verdicts,
        live=live,
        awaits_admission=live and (starts or restarts),
    )


def _dismissed(detail: DateResult) -> DateMoved:
    """The only move of a date on which nothing is expected."""
    return DateMoved(
        date=detail.date,
        source=PENDING,
        target=DONE,
        trigger=Trigger.DISMISS,
        reason=detail.reason,
        actor=ACTOR,
    )
