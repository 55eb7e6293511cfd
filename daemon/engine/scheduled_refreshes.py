"""Refreshes of provisional outputs: done dates are put back to compute one output once more, alone."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Mapping
from zoneinfo import ZoneInfo

from backfilld.daemon.engine.context import ACTOR, EngineContext
from backfilld.daemon.engine.owning_backfills import read_last_owners
from backfilld.daemon.engine.requeue_dates import requeue
from backfilld.daemon.event_types import DateMoved
from backfilld.state.pipeline.phase import DONE
from backfilld.state.pipeline.processor import Processor
from backfilld.state.records import CheckRow, DateRow, RunMode
from backfilld.state.rules.overlapping_backfills import Ownership
from backfilld.state.rules.refresh_schedule import missed_refresh, refresh_dates
from backfilld.state.rules.verdict import Verdict
from backfilld.state.store import checks, dates
from backfilld.state.store.database import Transaction


def requeue_refreshes(tx: Transaction, context: EngineContext) -> list[DateMoved]:
    """Requeue the done dates with outputs that are due for a refresh.

    Returns their moves. The caller emits them after the commit.
    """
    due = _due(tx, context)
    moves = []
    for row, names in due:
        reason = f"refresh of {', '.join(names)}, which {'is' if len(names) == 1 else 'are'} provisional"
        moved = requeue(tx, context, [row], mode=RunMode.NORMAL, actor=ACTOR, reason=reason)
        if moved:
            checks.set_mode(tx, [(row.date, name) for name in names], RunMode.REFRESH)
        moves += moved
    return moves


def _due(tx: Transaction, context: EngineContext) -> list[tuple[DateRow, list[str]]]:
    """The done dates, oldest first, each with the processors that are due for a refresh."""
    now, found = context.now(), defaultdict[dt.date, list[Processor]](list)
    for processor in context.pipeline.processors.values():
        for date in sorted(set(refresh_dates(processor.refresh, now))):
            found[date].append(processor)
    done = {date: row for date, row in dates.get_many(tx, found).items() if row.state == DONE}
    stored, owners = checks.for_dates(tx, done), read_last_owners(tx, list(done.values()))
    due = []
    for date, row in sorted(done.items()):
        of_date, is_source = owners.get(date, Ownership(())), context.pipeline.is_source
        may_run = [p for p in found[date] if of_date.lets_run(p, first_phase=is_source(p.name))]
        names = [p.name for p in may_run if _is_due(context, p, row, stored[date])]
        if names:
            due.append((row, names))
    return due


def _is_due(
    context: EngineContext, processor: Processor, row: DateRow, date_checks: Mapping[str, CheckRow]
) -> bool:
    """Whether a complete output reached an age since the daemon computed it, or found it complete."""
    check = date_checks.get(processor.name)
    if check is None or check.verdict is not Verdict.COMPLETE or check.accepted_reason:
        return False
    computed_at = check.last_attempt_started_at or row.ended_at or 0.0
    zone = ZoneInfo(context.pipeline.timezone)
    age = missed_refresh(row.date, processor.refresh, zone, computed_at=computed_at, now=context.now())
    return age is not None
