"""Cascades: dates computed before what they need was repaired are stale and can be computed again.

The rule. What a date is computed from is in the graph of needs (`state.rules.needs`).

- An output is *repaired* when its rows change: when an attempt ends whose rows are satisfied from then on,
  when a verdict counts another number of rows, whoever wrote them, or when the sweep sees a foreign write.
  An attempt repairs nothing where rows and write stamp are as they were.
- A repair marks as *stale* every date with an output that needs the repaired one and has rows without a
  successful attempt started since the repair, or that an attempt is computing now. Output of a successful
  attempt counts even before its rows are visible. What has not run yet has no output and is not marked. So a
  first backfill marks none, because its gates hold later dates back until earlier ones are satisfied.
- The mark names the latest repair. It stays until the date is done again and every output that a repair made
  stale comes from a successful attempt started since that repair.
- A mark starts nothing by itself. A retry with `cascade` reruns the date and every stale done date in its
  reach, whether stale now or through what this retry repairs. All phases are validated as usual. Outputs that
  are stale, that need earlier dates, or that are downstream of such run once whatever their verdicts.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from backfilld.daemon.engine import upstream
from backfilld.daemon.engine.context import ACTOR, EngineContext
from backfilld.daemon.engine.requeue import requeue
from backfilld.daemon.events import DateMoved
from backfilld.state.pipeline.phase import DONE
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.records import CheckRow, DateRow, Mark, RunMode
from backfilld.state.rules.machine import FINAL
from backfilld.state.rules.needs_graph import Span
from backfilld.state.store import checks, date_marks, dates
from backfilld.state.store.checks import CheckResult, Pair
from backfilld.state.store.database import Transaction


@dataclass(frozen=True, slots=True)
class _Repair:
    """An output whose rows have changed, and when."""

    processor: str
    date: dt.date
    at: float


def rewritten(tx: Transaction, pipeline: Pipeline, admitted: Iterable[DateRow]) -> set[Pair]:
    """What runs once whatever its verdict, on those of the admitted dates that cascade."""
    cascading = [row.date for row in admitted if row.cascades]
    if not cascading:
        return set()
    always, graph = pipeline.needs.computed_over_dates(), pipeline.needs
    pairs = {(date, name) for date in cascading for name in always}
    for date, by_name in checks.for_dates(tx, cascading).items():
        stale = {name for name, check in by_name.items() if check.stale_at is not None}
        pairs |= {(date, name) for name in stale | graph.downstream(stale)}
    return pairs


def mark_stale(
    tx: Transaction,
    context: EngineContext,
    judged: Iterable[tuple[CheckRow, CheckResult]],
    rows: Mapping[dt.date, DateRow],
) -> list[DateMoved]:
    """Mark dates that repairs among new verdicts make stale, and requeue those in a requested cascade.

    `rows` are those of the judged dates. Returns the moves of the requeued dates. The caller emits them after
    the commit.
    """
    repairs = sorted(_repairs(judged), key=lambda repair: (repair.date, repair.at))
    if not repairs:
        return []
    graph = upstream.needs_graph(tx, context.pipeline)
    for repair in repairs:
        names_by_span: dict[Span, list[str]] = defaultdict(list)
        for name, span in graph.needed_by(repair.processor, repair.date):
            names_by_span[span].append(name)
        for span, names in names_by_span.items():
            date_marks.mark_stale(tx, repair.date, repair.processor, span, repair.at, names)
    repaired = {repair.date for repair in repairs}.intersection(rows)
    cascades = sorted(d for d in repaired if rows[d].cascades and rows[d].state not in FINAL)
    return [move for date in cascades for move in requeue_stale(tx, context, date, actor=ACTOR)]


def clear(tx: Transaction, context: EngineContext, ended: Collection[DateRow]) -> None:
    """Clear the mark of dates that are done again, with every stale output computed since the repair."""
    stale = [row.date for row in ended if row.stale_at is not None]
    if stale:
        date_marks.clear_stale(tx, stale, context.pipeline.processors)


def requeue_stale(tx: Transaction, context: EngineContext, date: dt.date, *, actor: str) -> list[DateMoved]:
    """Requeue the stale done dates after `date` that need it, directly."""
    graph = upstream.needs_graph(tx, context.pipeline)
    end = max((graph.end(need, date) for need in graph.all_earlier), default=date)
    if end <= date:
        return []
    first, reach = date + dt.timedelta(days=1), (end - date).days
    stale_rows = dates.page(tx, start=first, end=end, states=[DONE], mark=Mark.STALE, limit=reach)
    reason = f"cascade of {date}"
    # What an operator has accepted of them stays accepted.
    return requeue(tx, context, stale_rows, mode=RunMode.NORMAL, actor=actor, reason=reason, cascades=True)


def _repairs(judged: Iterable[tuple[CheckRow, CheckResult]]) -> Iterator[_Repair]:
    for check, result in judged:
        at = _changed_at(check, result)
        if at is not None:
            yield _Repair(check.processor, check.date, at)


def _left_unchanged(check: CheckRow, result: CheckResult) -> bool:
    """Whether the last attempt is known to have left the partition as it was."""
    stamp = result.write_stamp or check.write_stamp
    return stamp is not None and stamp == check.stamp_before


def _changed_at(check: CheckRow, result: CheckResult) -> float | None:
    """When the rows behind a verdict changed since the previous verdict; None if they did not."""
    judgement = result.judgement
    if result.foreign_write:
        return result.asked_at
    if not judgement.rows and not judgement.verdict.satisfied:
        return None
    if check.asked_at is not None and check.rows is not None and check.rows != judgement.rows:
        return check.last_attempt_ended_at if check.follows_attempt else result.asked_at
    if _left_unchanged(check, result):
        return None
    was_satisfied = check.verdict.satisfied and not check.follows_attempt
    return check.last_attempt_ended_at if judgement.verdict.satisfied and not was_satisfied else None
