"""Cascades: dates computed before what they need was repaired are stale and can be computed again.

The rule. What a date is computed from is in the graph of needs (`state.rules.needs_graph`).

- An output is *repaired* when its rows change: when an attempt ends whose rows are satisfied from then on,
  when a verdict counts another number of rows, whoever wrote them, or when its write stamp has moved. An
  attempt repairs nothing where rows and write stamp are as they were. What an attempt of another processor
  of the same table has written is the output of that one.
- A repair marks as *stale* every date with an output that needs the repaired one and has rows without a
  successful attempt started since the repair, or that an attempt is computing now. Output of a successful
  attempt counts even before its rows are visible. What has not run yet has no output and is not marked. So a
  first backfill marks none, because its gates hold later dates back until earlier ones are satisfied.
- A stale input delays no job: what needs it is computed from it. What done dates have computed from a stale
  output, directly or through others, is stale too (`computed_from_stale`).
- The mark of an output names every input that made it stale. It stays until the date is done again and the
  output comes from a successful attempt started since those inputs were repaired, whether or not further
  attempts failed after that one. An attempt that left rows as they were is none; one that found none to
  write, and left none, is.
- A mark starts nothing by itself. A retry with `cascade` reruns what is stale of the date, and of the later
  dates that are stale because of it, now or through what this retry repairs. All phases are validated as
  usual; what is complete and not stale does not run. What may become stale satisfies no need until its date
  has passed it, so that each output runs once, after those that it is computed from.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from backfilld.daemon.engine import computed_from_stale, missing_upstream
from backfilld.daemon.engine.context import ACTOR, EngineContext
from backfilld.daemon.engine.requeue_dates import requeue
from backfilld.daemon.event_types import DateMoved
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.records import CheckRow, DateRow, RunMode
from backfilld.state.rules.needs_graph import Pair, Span
from backfilld.state.rules.state_machine import FINAL
from backfilld.state.rules.verdict import Verdict
from backfilld.state.store import checks, dates, stale_marks
from backfilld.state.store.checks import CheckResult
from backfilld.state.store.database import Transaction


@dataclass(frozen=True, slots=True)
class _Repair:
    """An output whose rows have changed, and when."""

    processor: str
    date: dt.date
    at: float


def rewritten(tx: Transaction, admitted: Iterable[DateRow]) -> set[Pair]:
    """The stale outputs of the admitted dates that cascade: they run once whatever their verdicts.

    Not those that are accepted: the request of the cascade has withdrawn the waivers from before it.
    """
    cascading = [row.date for row in admitted if row.cascades]
    stored = checks.for_dates(tx, cascading) if cascading else {}
    known = (check for of_date in stored.values() for check in of_date.values())
    return {(c.date, c.processor) for c in known if c.stale_at and not c.accepted_reason}


def hold_back(tx: Transaction, pipeline: Pipeline, admitted: Iterable[DateRow]) -> None:
    """Have outputs that may become stale satisfy no need yet, on admitted dates that cascade.

    They are those downstream of what runs, as far as that is known; else all of the date.
    """
    cascading = [row.date for row in admitted if row.cascades]
    pairs: list[Pair] = []
    for date, by_name in checks.for_dates(tx, cascading).items() if cascading else ():
        once = {name for name, check in by_name.items() if check.awaits_rewrite}
        waived = {name for name, check in by_name.items() if check.mode == RunMode.WAIVED}
        runs = once | {name for name, check in by_name.items() if not check.verdict.satisfied} - waived
        later = pipeline.needs.downstream(runs) if runs else set(pipeline.processors)
        pairs += [(date, name) for name in sorted(later - once - waived)]
    checks.set_mode(tx, pairs, RunMode.CASCADE)


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
    repairs = sorted(_repairs(tx, context.pipeline, judged), key=lambda repair: (repair.date, repair.at))
    if not repairs:
        return []
    graph = missing_upstream.needs_graph(tx, context.pipeline)
    marked: set[Pair] = set()
    for repair in repairs:
        names_by_span: dict[Span, list[str]] = defaultdict(list)
        for name, span in graph.needed_by(repair.processor, repair.date):
            names_by_span[span].append(name)
        for span, names in names_by_span.items():
            marked |= stale_marks.mark_stale(tx, (repair.date, repair.processor), span, repair.at, names)
    computed_from_stale.pass_on(tx, context, marked)
    names_by_date: dict[dt.date, set[str]] = defaultdict(set)
    for repair in repairs:
        row = rows.get(repair.date)
        if row is not None and row.cascades and row.state not in FINAL:
            names_by_date[repair.date].add(repair.processor)
    return [move for date, of_date in names_by_date.items() for move in _continue(tx, context, date, of_date)]


def _continue(
    tx: Transaction, context: EngineContext, date: dt.date, names: Collection[str]
) -> list[DateMoved]:
    """Have a cascade rerun what these outputs of a date made stale, on live dates and on done ones."""
    stale_marks.join_cascade(tx, date, names)
    again = stale_marks.rerun_in_cascades(tx, date, names, context.now())
    dates.make_dates_due(tx, sorted(again), dates.IMMEDIATELY)
    return requeue_stale(tx, context, date, names, actor=ACTOR)


def release(tx: Transaction, ended: Iterable[DateRow]) -> list[Pair]:
    """Have what may have become stale satisfy needs again, on cascading dates that have ended.

    Returns the outputs that are satisfied now and were held back.
    """
    stored = checks.for_dates(tx, [row.date for row in ended if row.cascades])
    known = [check for of_date in stored.values() for check in of_date.values()]
    held_back = [check for check in known if check.mode == RunMode.CASCADE]
    held_back += _without_a_turn(tx, known)
    complete = [(c.date, c.processor) for c in held_back if c.verdict.satisfied and not c.satisfied]
    checks.set_mode(tx, [(check.date, check.processor) for check in held_back], RunMode.NORMAL)
    checks.set_satisfied(tx, complete)
    return complete


def _without_a_turn(tx: Transaction, known: Iterable[CheckRow]) -> list[CheckRow]:
    """What a cascade was to compute from stale inputs, and did not, as these were not computed either."""
    owed = [
        c for c in known if c.awaits_rewrite and c.stale_at and c.verdict.satisfied and not c.attempt_count
    ]
    causes = stale_marks.stale_outputs(tx, {check.date for check in owed})
    return [c for c in owed if all(cause.was_stale for cause in causes[c.date].get(c.processor, ()))]


def settle(tx: Transaction, context: EngineContext, ended: Collection[DateRow]) -> None:
    """Mark what done dates have computed from stale outputs, and clear what ran since repairs."""
    done = [row.date for row in ended]
    first = stale_marks.first_marked(tx) if done else None
    if first is not None and first <= max(done):
        causes = computed_from_stale.of_done(tx, context, done, first)
        stale_marks.mark_computed_from_stale(tx, causes)
    was_marked = any(row.stale_at is not None for row in ended)
    if first is not None or was_marked:
        stale_marks.settle(tx, done, list(context.pipeline.processors))


def requeue_stale(
    tx: Transaction, context: EngineContext, date: dt.date, names: Collection[str], *, actor: str
) -> list[DateMoved]:
    """Requeue the later done dates with an output that is stale because of these of `date`."""
    stale_rows = stale_marks.made_stale_by(tx, date, names)
    reason = f"cascade of {date}"
    # What an operator has accepted of them stays accepted.
    return requeue(tx, context, stale_rows, mode=RunMode.NORMAL, actor=actor, reason=reason, cascades=True)


def _repairs(
    tx: Transaction, pipeline: Pipeline, judged: Iterable[tuple[CheckRow, CheckResult]]
) -> list[_Repair]:
    changes = [(c, r, at) for c, r in judged if (at := _changed_at(c, r)) is not None]
    seen = [check for check, result, at in changes if at == result.asked_at]
    theirs = _written_by_others(tx, pipeline, seen) if seen else set()
    repairs = (_Repair(check.processor, check.date, at) for check, _, at in changes)
    return [repair for repair in repairs if (repair.date, repair.processor) not in theirs]


def _written_by_others(tx: Transaction, pipeline: Pipeline, seen: Collection[CheckRow]) -> set[Pair]:
    """The outputs whose table an attempt of another processor has written since they were judged."""
    writers = {c.processor: pipeline.writers_of.get(c.output, ()) for c in seen}
    shared = [check for check in seen if len(writers[check.processor]) > 1]
    names = {name for check in shared for name in writers[check.processor]}
    stored = checks.for_dates(tx, {check.date for check in shared}, names) if shared else {}
    return {
        (check.date, check.processor)
        for check in shared
        for name in {*writers[check.processor]} - {check.processor}
        if (other := stored[check.date].get(name))
        and (other.attempt_id is not None or (other.last_attempt_ended_at or 0.0) > (check.asked_at or 0.0))
    }


def _left_unchanged(check: CheckRow, result: CheckResult) -> bool:
    """Whether the last attempt is known to have left the partition as it was."""
    stamp = result.write_stamp or check.write_stamp
    return stamp is not None and stamp == check.stamp_before


def _changed_at(check: CheckRow, result: CheckResult) -> float | None:
    """When the rows behind a verdict changed since the previous verdict; None if they did not."""
    judgement = result.judgement
    if judgement.verdict is Verdict.NOT_EXPECTED or not (judgement.rows or judgement.verdict.satisfied):
        return None  # no rows were counted, or none are there
    if result.foreign_write:
        return result.asked_at
    has_stamps = None not in (check.stamp_before, result.write_stamp)
    # After queries that failed, this is the first verdict with a stamp.
    unseen = has_stamps and check.verdict is Verdict.UNKNOWN and check.write_stamp is None
    is_first = check.follows_attempt or unseen
    if check.asked_at is not None and check.rows is not None and check.rows != judgement.rows:
        return check.last_attempt_ended_at if is_first else result.asked_at
    if _left_unchanged(check, result):
        return None
    if is_first and has_stamps:
        return check.last_attempt_ended_at  # it has written, however it ended
    was_satisfied = check.verdict.satisfied and not check.follows_attempt
    return check.last_attempt_ended_at if judgement.verdict.satisfied and not was_satisfied else None
