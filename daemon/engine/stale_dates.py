"""Cascades: dates computed before an earlier date was repaired are stale and can be computed again.

The rule. A sequential phase computes a date from the phase before, over the dates of its lookback.

- A date is *repaired* when the rows of a processor in that earlier phase change: when an attempt ends whose
  rows are satisfied from then on, or when a verdict counts a different number of rows, whoever wrote them, or
  when the sweep sees a foreign write.
- A repair marks as *stale* every date from the repaired one to the last whose lookback includes it, if it has
  output of the sequential phase without a successful attempt started since the repair, or if an attempt is
  computing it now. Output of a successful attempt counts even before its rows are visible. A date whose
  sequential phase has not run yet has no output and is not marked. So a first backfill marks none, because
  its gates hold later dates back until earlier ones are satisfied.
- The mark names the latest repair. It stays until the date is done again and every output that a repair made
  stale comes from a successful attempt started since that repair.
- A mark starts nothing by itself. A retry with `cascade` reruns the date and every stale done date in its
  reach, whether stale now or through what this retry repairs. All phases are validated as usual; only the
  sequential ones run once whatever their verdicts.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from backfilld.daemon.engine import lookback
from backfilld.daemon.engine.context import ACTOR, EngineContext
from backfilld.daemon.engine.requeue import requeue
from backfilld.daemon.events import DateMoved
from backfilld.state.pipeline.phase import DONE, Phase
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.records import CheckRow, DateRow, Mark, RunMode
from backfilld.state.rules.machine import FINAL
from backfilld.state.store import date_marks, dates
from backfilld.state.store.checks import CheckResult
from backfilld.state.store.database import Transaction


@dataclass(frozen=True, slots=True)
class _Repair:
    """A date whose rows in the phase before a sequential one have changed, and when."""

    phase: Phase
    date: dt.date
    at: float


def sequential(pipeline: Pipeline) -> list[str]:
    """The processors of all sequential phases."""
    return [p.name for phase in pipeline.phase if phase.sequential for p in phase.processor]


def mark_stale(
    tx: Transaction, context: EngineContext, judged: Iterable[tuple[CheckRow, CheckResult]]
) -> list[DateMoved]:
    """Mark dates that repairs among new verdicts make stale, and requeue those in a requested cascade.

    Returns the moves of the requeued dates. The caller emits them after the commit.
    """
    repairs = list(_repairs(context.pipeline, list(judged)))
    if not repairs:
        return []
    date_rows = dates.get_many(tx, {repair.date for repair in repairs})
    for repair in repairs:
        names = [p.name for p in repair.phase.processor]
        until = lookback.last_dependent(context.pipeline, repair.phase, repair.date)
        date_marks.mark_stale(tx, repair.date, until, repair.at, names)
    cascades = [row.date for row in date_rows.values() if row.cascades and row.state not in FINAL]
    return [move for date in cascades for move in requeue_stale(tx, context, date, actor=ACTOR)]


def clear(tx: Transaction, context: EngineContext, ended: Collection[DateRow]) -> None:
    """Clear the mark of dates that are done again, with every stale output computed since the repair."""
    stale = [row.date for row in ended if row.stale_at is not None]
    if stale:
        date_marks.clear_stale(tx, stale, list(context.pipeline.processors))


def requeue_stale(tx: Transaction, context: EngineContext, date: dt.date, *, actor: str) -> list[DateMoved]:
    """Requeue the stale done dates after `date` within the reach of its lookback."""
    phases = [phase for phase in context.pipeline.phase if phase.sequential]
    end = max((lookback.last_dependent(context.pipeline, phase, date) for phase in phases), default=date)
    first = date + dt.timedelta(days=1)
    reach = (end - date).days
    stale_rows = dates.page(tx, start=first, end=end, states=[DONE], mark=Mark.STALE, limit=reach)
    reason = f"cascade of {date}"
    return requeue(tx, context, stale_rows, mode=RunMode.RETRY, actor=actor, reason=reason, cascades=True)


def _repairs(pipeline: Pipeline, judged: list[tuple[CheckRow, CheckResult]]) -> Iterator[_Repair]:
    for phase in pipeline.phase:
        before = lookback.phase_before(pipeline, phase)
        names = [p.name for p in before.processor] if before else []
        changes = [
            (check.date, _changed_at(check, result)) for check, result in judged if check.processor in names
        ]
        changed = sorted((date, at) for date, at in changes if at is not None)
        yield from (_Repair(phase, date, at) for date, at in changed)


def _changed_at(check: CheckRow, result: CheckResult) -> float | None:
    """When the rows behind a verdict changed since the previous verdict; None if they did not."""
    judgement = result.judgement
    if result.foreign_write:
        return result.asked_at
    if not judgement.rows:
        return None
    if check.asked_at is not None and check.rows is not None and check.rows != judgement.rows:
        return check.last_attempt_ended_at if check.follows_attempt else result.asked_at
    was_satisfied = check.verdict.satisfied and not check.follows_attempt
    return check.last_attempt_ended_at if judgement.verdict.satisfied and not was_satisfied else None
