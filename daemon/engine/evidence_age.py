"""No job starts on old evidence: neither about its output nor about its inputs.

A date may wait for hours, for a slot, a hold or another job of its state, and rows may appear or vanish
meanwhile.
"""

from __future__ import annotations

import datetime as dt
import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache

from backfilld.daemon.engine import missing_upstream, periods
from backfilld.daemon.engine.context import EngineContext
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.rules.interval_sets import merged
from backfilld.state.rules.needs_graph import NeedsGraph, Pair, Span
from backfilld.state.rules.stale_reach import as_interval, as_span
from backfilld.state.store import attempts, checks, runnable_jobs
from backfilld.state.store.database import Transaction
from backfilld.state.store.runnable_jobs import RunnableCheck

QUERIED_BACK = 31
"""Days before its date whose inputs are queried again before a job starts.

A window may be a season, which no query before each job pays for: revalidation finds what is older.
"""
REFRESH_TOGETHER = 50
"""How many checks of a processor are queried together when the evidence of its first is too old."""


def with_fresh_evidence(
    tx: Transaction, context: EngineContext, limits: Mapping[str, int], evidence_from: float
) -> list[RunnableCheck]:
    """The first runnable checks whose evidence, and that of their inputs, is recent enough.

    At most `limits[processor]` of each. What is too old is queried again, with what is next in line. No
    evidence from before `evidence_from`, in epoch seconds, is recent.
    """
    pipeline = context.pipeline
    candidates = periods.first_runnable(tx, pipeline, limits)
    outdated = _outdated(tx, context, candidates, evidence_from)
    if not outdated:
        return candidates
    names = {check.processor for check in outdated}
    next_in_line = periods.first_runnable(tx, pipeline, dict.fromkeys(names, REFRESH_TOGETHER))
    soon = {name: _starts_within(tx, name, limits[name], pipeline.engine.max_evidence_age) for name in names}
    starting = _outdated(tx, context, periods.first_runnable(tx, pipeline, soon), evidence_from)
    chosen = [check for check in next_in_line if check in starting or _is_old(context, check, evidence_from)]
    queried = periods.with_their_periods(pipeline, next_in_line, chosen)
    # All inputs of a date, and of its period, so that none of them is too old when the others are not.
    together = periods.with_their_periods(pipeline, next_in_line, starting)
    inputs = _inputs_before(tx, pipeline, together, math.inf).values()
    requested = {(check.date, check.processor) for check in queried}
    requested.update(pair for of_one in inputs for pair in of_one)
    checks.request_check(tx, sorted(requested), context.now())
    following = periods.first_runnable(tx, pipeline, limits)
    return _before_outdated(pipeline, following, _outdated(tx, context, following, evidence_from))


def _before_outdated(
    pipeline: Pipeline, candidates: Iterable[RunnableCheck], outdated: Collection[RunnableCheck]
) -> list[RunnableCheck]:
    """The candidates before which no outdated one of their processor or sequential phase comes."""
    kept: list[RunnableCheck] = []
    kept_back: set[str] = set()
    for check in candidates:
        group = pipeline.sequence_of(pipeline.processors[check.processor]) or check.processor
        if check in outdated:
            kept_back.add(group)
        elif group not in kept_back:
            kept.append(check)
    return kept


def _oldest(context: EngineContext, evidence_from: float, queries: int) -> float:
    """The oldest time of a query that still counts.

    Evidence is as old as its query. One that takes longer than the limit must not keep jobs back, so the time
    of as many `queries` is added to it.
    """
    limit = context.pipeline.engine.max_evidence_age + queries * context.latest_query.get("seconds", 0.0)
    return max(context.now() - limit, evidence_from)


def _is_old(context: EngineContext, check: RunnableCheck, evidence_from: float) -> bool:
    return (check.asked_at or 0.0) < _oldest(context, evidence_from, queries=1)


def _outdated(
    tx: Transaction, context: EngineContext, candidates: Collection[RunnableCheck], evidence_from: float
) -> set[RunnableCheck]:
    """The candidates of which the own evidence, or that of an input, is too old."""
    # A full query leaves some inputs of a date to the next one.
    before = _oldest(context, evidence_from, queries=2)
    old_inputs = _inputs_before(tx, context.pipeline, candidates, before)
    return {check for check in candidates if old_inputs[check] or _is_old(context, check, evidence_from)}


def _inputs_before(
    tx: Transaction, pipeline: Pipeline, candidates: Collection[RunnableCheck], before: float
) -> dict[RunnableCheck, list[Pair]]:
    """The inputs of each candidate that were queried before a time and may have vanished since.

    They are complete outputs. A waived one cannot vanish.
    """
    same_date = _inputs_on_own_date(tx, pipeline, candidates, before)
    earlier = _inputs_on_earlier_dates(tx, pipeline, candidates, before)
    return {check: same_date.get(check, []) + earlier.get(check, []) for check in candidates}


def _inputs_on_own_date(
    tx: Transaction, pipeline: Pipeline, candidates: Collection[RunnableCheck], before: float
) -> dict[RunnableCheck, list[Pair]]:
    """Those of the states that the date has passed, and those that the candidate names in `after`."""
    old: dict[dt.date, list[str]] = defaultdict(list)
    for date, name in runnable_jobs.complete_before(tx, {check.date for check in candidates}, before):
        old[date].append(name)
    if not old:
        return {}
    stage_of = pipeline.stage_of

    @cache
    def of_passed_states(date: dt.date, state: int) -> list[str]:
        return [name for name in old[date] if name in stage_of and stage_of[name].index < state]

    def inputs(check: RunnableCheck) -> list[str]:
        after = [name for name in pipeline.processors[check.processor].after if name in old[check.date]]
        return of_passed_states(check.date, stage_of[check.processor].index) + after

    return {
        check: [(check.date, name) for name in inputs(check)] for check in candidates if check.date in old
    }


def _inputs_on_earlier_dates(
    tx: Transaction, pipeline: Pipeline, candidates: Collection[RunnableCheck], before: float
) -> dict[RunnableCheck, list[Pair]]:
    """Those that the candidate needs, of the `QUERIED_BACK` days before its date at most."""
    if not any(pipeline.needs.earlier_of(check.processor) for check in candidates):
        return {}
    graph = missing_upstream.needs_graph(tx, pipeline)
    windows = {check: [*_windows(graph, check)] for check in candidates}
    spans = [span for of_one in windows.values() for _, span in of_one]
    if not spans:
        return {}
    names = {name for of_one in windows.values() for of, _ in of_one for name in of}
    old: dict[str, list[dt.date]] = defaultdict(list)
    # Candidates may be years apart: what lies between them is not read.
    for span in map(as_span, merged(map(as_interval, spans), gap=QUERIED_BACK)):
        for date, name in runnable_jobs.complete_between(tx, names, span.first, span.last, before):
            old[name].append(date)
    return {check: [*_within(old, of_one)] for check, of_one in windows.items()} if old else {}


def _windows(graph: NeedsGraph, check: RunnableCheck) -> Iterator[tuple[Sequence[str], Span]]:
    last = check.date - dt.timedelta(days=1)
    for need in graph.earlier_of(check.processor):
        span = Span(max(graph.start(need, check.date), last - dt.timedelta(days=QUERIED_BACK - 1)), last)
        if span.first <= last:
            yield need.of, span


def _within(
    old: Mapping[str, Sequence[dt.date]], windows: Iterable[tuple[Sequence[str], Span]]
) -> Iterator[Pair]:
    for of, span in windows:
        yield from ((day, name) for name in of for day in old.get(name, ()) if span.first <= day <= span.last)


def _starts_within(tx: Transaction, processor: str, limit: int, seconds: float) -> int:
    """How many dates of a processor may start within some seconds, where `limit` may start now.

    Queries about inputs read whole partitions, so those that start later than that would be queried in vain.
    """
    usual = attempts.typical_seconds(tx, processor)
    rounds = 1 if usual is None else 1 + math.floor(seconds / max(usual, 1.0))
    return min(limit * rounds, REFRESH_TOGETHER)
