"""No job starts on old evidence: neither about its output, nor about the inputs of its own date.

A date that waits for a slot, a hold or a pause may wait for hours, and rows may appear or vanish meanwhile.
One that goes from state to state without a wait has its inputs not queried again: that would cost a query of
every table before each step.
Inputs of earlier dates are not queried again here, as a window may be a season: revalidation finds what
vanished of them.
"""

from __future__ import annotations

import datetime as dt
import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from functools import cache

from backfilld.daemon.engine import periods
from backfilld.daemon.engine.context import EngineContext
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.rules.needs_graph import Pair
from backfilld.state.store import attempts, checks, runnable_jobs
from backfilld.state.store.database import Transaction
from backfilld.state.store.runnable_jobs import RunnableCheck

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
    """The inputs of each candidate on its date that were queried before a time and may have vanished since.

    They are the complete outputs of the states that the date has passed, and those that the candidate names
    in `after`. A waived one cannot vanish.
    """
    old: dict[dt.date, list[str]] = defaultdict(list)
    for date, name in runnable_jobs.complete_before(tx, {check.date for check in candidates}, before):
        old[date].append(name)
    if not old:
        return {check: [] for check in candidates}
    stage_of = pipeline.stage_of

    @cache
    def of_passed_states(date: dt.date, state: int) -> list[str]:
        return [name for name in old[date] if name in stage_of and stage_of[name].index < state]

    def inputs(check: RunnableCheck) -> list[str]:
        after = [name for name in pipeline.processors[check.processor].after if name in old[check.date]]
        return of_passed_states(check.date, stage_of[check.processor].index) + after

    return {check: [(check.date, name) for name in inputs(check)] for check in candidates}


def _starts_within(tx: Transaction, processor: str, limit: int, seconds: float) -> int:
    """How many dates of a processor may start within some seconds, where `limit` may start now.

    Queries about inputs read whole partitions, so those that start later than that would be queried in vain.
    """
    usual = attempts.typical_seconds(tx, processor)
    rounds = 1 if usual is None else 1 + math.floor(seconds / max(usual, 1.0))
    return min(limit * rounds, REFRESH_TOGETHER)
