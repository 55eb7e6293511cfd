"""A failed date continues by itself once the output that it failed for has appeared.

Failed dates are queried again after `recheck_interval`, then ever less often, at least once an hour. A date
returns to `pending` only when a check of the state that it failed in has just become satisfied, its gate
would not fail it again, and a backfill that wanted it is still active. So a date that fails again for
another reason is not requeued until another output appears.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from backfilld.daemon.engine.context import ACTOR, EngineContext
from backfilld.daemon.engine.owning_backfills import read_last_owners
from backfilld.daemon.engine.partly_selected_dates import needed_now, selected_now
from backfilld.daemon.engine.requeue_dates import requeue
from backfilld.daemon.event_types import DateMoved
from backfilld.state.pipeline.phase import FAILED
from backfilld.state.records import CheckRow, DateRow, RunMode
from backfilld.state.rules.date_outcomes import Outcome
from backfilld.state.rules.gates import Fail, GateContext, decide
from backfilld.state.rules.overlapping_backfills import Ownership
from backfilld.state.rules.state_machine import Trigger
from backfilld.state.store import backfills, checks, failed_date_rechecks, transitions
from backfilld.state.store.checks import CheckResult
from backfilld.state.store.database import Transaction

BATCH = 500
"""How many failed dates one pass queries at most."""


def recheck(tx: Transaction, context: EngineContext) -> None:
    """Request checks of what failed dates lack, where they are due."""
    now = context.now()
    failed = failed_date_rechecks.due(tx, now, context.pipeline.engine.recheck_interval, BATCH)
    if not failed:
        return
    states = transitions.failed_in(tx, failed)
    date_checks = checks.for_dates(tx, states)
    lacking = [
        (date, check.processor)
        for date, state in states.items()
        for check in _checks_in(context, state, date_checks[date]).values()
        if not check.satisfied
    ]
    checks.request_check(tx, lacking, now)
    failed_date_rechecks.mark_checked(tx, [row.date for row in failed], now)


def update(
    tx: Transaction,
    context: EngineContext,
    judged: Iterable[tuple[CheckRow, CheckResult]],
    rows: Mapping[dt.date, DateRow],
) -> list[DateMoved]:
    """Requeue the failed dates whose missing output has just appeared.

    `rows` are those of the judged dates. Returns their moves. The caller emits them after the commit.
    """
    appeared: dict[dt.date, list[str]] = defaultdict(list)
    for check, result in judged:
        if result.judgement.verdict.satisfied and not (check.satisfied or check.verdict.satisfied):
            appeared[check.date].append(check.processor)
    failed = [
        rows[date]
        for date in appeared
        if date in rows and rows[date].state == FAILED and rows[date].outcome != Outcome.CANCELLED
    ]
    moves = []
    for row, names in _recovered(tx, context, failed, appeared):
        reason = f"{', '.join(names)} appeared"
        trigger, mode = Trigger.RECOVER, RunMode.NORMAL
        moves += requeue(tx, context, [row], mode=mode, actor=ACTOR, reason=reason, trigger=trigger)
    return moves


def _recovered(
    tx: Transaction,
    context: EngineContext,
    failed: Sequence[DateRow],
    appeared: Mapping[dt.date, Sequence[str]],
) -> Iterable[tuple[DateRow, list[str]]]:
    """The dates that can continue, each with the outputs of its state that appeared."""
    if not failed:
        return
    states = transitions.failed_in(tx, failed)
    date_checks = checks.for_dates(tx, states)
    owners = read_last_owners(tx, failed)
    numbers = {owner.id for of_date in owners.values() for owner in of_date.owners}
    active = {number for number in numbers if backfills.live_dates(tx, number)}
    for row in failed:
        state_checks = _checks_in(context, states[row.date], date_checks[row.date])
        names = [name for name in appeared[row.date] if name in state_checks]
        of_date = owners.get(row.date, Ownership(()))
        wanted = any(owner.id in active for owner in of_date.owners)
        if names and wanted and not _fails_again(context, states[row.date], state_checks, row, of_date):
            yield row, names


def _fails_again(
    context: EngineContext, state: str, checks: Mapping[str, CheckRow], row: DateRow, owners: Ownership
) -> bool:
    """Whether the gate that failed the date would still fail it."""
    stage = context.pipeline.stage[state]
    selected = selected_now(row, owners, checks)
    gate_context = GateContext(
        now=context.now(),
        entered_at=row.entered_at,
        sources=owners.sources,
        first_phase=stage.phase is context.pipeline.phase[0],
        selected=selected,
        needed=needed_now(context.pipeline, selected, None),
    )
    return isinstance(decide(stage, checks, gate_context), Fail)


def _checks_in(
    context: EngineContext, state: str, date_checks: Mapping[str, CheckRow]
) -> Mapping[str, CheckRow]:
    """The checks of a state's processors; none where the pipeline file no longer has the state."""
    stage = context.pipeline.stage.get(state)
    processors = stage.processors if stage else ()
    return {p.name: date_checks[p.name] for p in processors if p.name in date_checks}
