"""Cascades: what was computed before an earlier date was repaired is to be computed again.

The rule. A sequential phase computes a date from the phase before, over the dates of its lookback.

- A date is *repaired* when the rows of a processor of that phase before change: at the end of the job of ours
  whose rows are satisfied from now on, or when a verdict counts other rows than the one before, whoever wrote
  them.
- A repair marks as *stale* every date from the repaired one to the last that looks back at it, if it has
  output of the sequential phase that no good attempt of ours has begun to compute since the repair, or if an
  attempt is computing it. What a good attempt of ours made counts as output, though nothing of it shows yet.
  A date whose sequential phase has yet to run has none, and is not marked: in a first backfill, whose gates
  hold later dates back until earlier ones are satisfied, none is.
- The mark names the latest repair. It stays, whatever becomes of the date, until the date is done again and
  every output of it that a repair made stale comes from a good attempt begun since that repair.
- Nothing runs by itself for a mark. A retry with `cascade` runs the date, and every done date that is stale
  within its reach, now or by what this retry repairs until it has ended: all phases are validated as ever,
  and only the sequential ones run once whatever they show.
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
from backfilld.state.store import dates, staleness
from backfilld.state.store.checks import CheckResult
from backfilld.state.store.database import Transaction


@dataclass(frozen=True, slots=True)
class _Repair:
    """A date of which the phase before a sequential one has changed, and when."""

    phase: Phase
    date: dt.date
    at: float


def sequential(pipeline: Pipeline) -> list[str]:
    """The processors of all sequential phases."""
    return [p.name for phase in pipeline.phase if phase.sequential for p in phase.processor]


def mark_stale(
    tx: Transaction, context: EngineContext, judged: Iterable[tuple[CheckRow, CheckResult]]
) -> list[DateMoved]:
    """Mark what the repairs among new verdicts make stale, and run it where a cascade was asked for.

    Returns the moves of what is run, to be told once they are committed.
    """
    repairs = list(_repairs(context.pipeline, list(judged)))
    if not repairs:
        return []
    holders = dates.get_many(tx, {repair.date for repair in repairs})
    for repair in repairs:
        names = [p.name for p in repair.phase.processor]
        until = lookback.last_dependent(context.pipeline, repair.phase, repair.date)
        staleness.mark_stale(tx, repair.date, until, repair.at, names)
    cascades = [row.date for row in holders.values() if row.cascades and row.state not in FINAL]
    return [move for date in cascades for move in requeue_stale(tx, context, date, actor=ACTOR)]


def clear(tx: Transaction, context: EngineContext, ended: Collection[DateRow]) -> None:
    """Take the mark from dates that are done again with all of it computed since the repair."""
    stale = [row.date for row in ended if row.stale_at is not None]
    if stale:
        staleness.clear_stale(tx, stale, sequential(context.pipeline))


def requeue_stale(tx: Transaction, context: EngineContext, date: dt.date, *, actor: str) -> list[DateMoved]:
    """Put back the done dates after `date` that are stale within its reach, to compute them again."""
    phases = [phase for phase in context.pipeline.phase if phase.sequential]
    end = max((lookback.last_dependent(context.pipeline, phase, date) for phase in phases), default=date)
    first = date + dt.timedelta(days=1)
    reach = (end - date).days
    found = dates.page(tx, start=first, end=end, states=[DONE], mark=Mark.STALE, limit=reach)
    reason = f"cascade of {date}"
    return requeue(tx, context, found, mode=RunMode.RETRY_NO_DATA, actor=actor, reason=reason, cascades=True)


def _repairs(pipeline: Pipeline, judged: list[tuple[CheckRow, CheckResult]]) -> Iterator[_Repair]:
    for phase in pipeline.phase:
        before = lookback.phase_before(pipeline, phase)
        names = [p.name for p in before.processor] if before else []
        its = [
            (check.date, _changed_at(check, answer)) for check, answer in judged if check.processor in names
        ]
        changed = sorted((date, at) for date, at in its if at is not None)
        yield from (_Repair(phase, date, at) for date, at in changed)


def _changed_at(check: CheckRow, answer: CheckResult) -> float | None:
    """When the rows behind a verdict became others than those behind the one before; None: they did not."""
    judgement = answer.judgement
    if not judgement.rows:
        return None
    if check.asked_at is not None and check.rows is not None and check.rows != judgement.rows:
        return check.last_attempt_ended_at if check.follows_attempt else answer.asked_at
    was_satisfied = check.verdict.satisfied and not check.follows_attempt
    return check.last_attempt_ended_at if judgement.verdict.satisfied and not was_satisfied else None
