"""What done dates have computed from stale outputs, directly or through others: it is stale too.

Where an output becomes stale, what done dates have computed from it does so in the same transaction. What a
date under way has is judged once it is done, as it may run before that.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection

from backfilld.daemon.engine import missing_upstream
from backfilld.daemon.engine.context import EngineContext
from backfilld.state.rules.needs_graph import Pair
from backfilld.state.rules.stale_reach import computed_from
from backfilld.state.rules.transitive_staleness import StaleInputs, inputs_between
from backfilld.state.store import checks, dates, stale_marks
from backfilld.state.store.database import Transaction
from backfilld.state.store.stale_marks import StaleCause

_JUST_AFTER = 0.001
"""Seconds after the start of an attempt: a later attempt starts after that."""
_SETTLED_AT_ONCE = 500
"""Dates in one statement."""


def of_done(
    tx: Transaction, context: EngineContext, done: Collection[dt.date], since: dt.date
) -> dict[Pair, list[StaleCause]]:
    """The outputs of done dates that were computed from stale ones, and are not stale by themselves.

    `since` is the first date with a stale output. Only what done dates may be computed from is read.
    """
    graph = missing_upstream.needs_graph(tx, context.pipeline)
    stale = stale_marks.stale_pairs(tx, graph.earliest_input(min(done), since), max(done))
    if not stale:
        return {}
    stored = checks.for_dates(tx, done)
    theirs = {(date, name) for date, by_name in stored.items() for name in by_name} - stale
    outputs = stale_marks.existing(tx, inputs_between(graph, stale, theirs))
    inputs = StaleInputs(graph, stale, outputs)
    causes: dict[Pair, list[StaleCause]] = {}
    for date, name in outputs & theirs:
        if pairs := inputs.of(name, date):
            causes[date, name] = _causes(context, pairs, stored[date][name].last_attempt_started_at)
    return causes


def pass_on(tx: Transaction, context: EngineContext, marked: Collection[Pair]) -> None:
    """Mark what done dates have computed from outputs that have become stale just now.

    What is computed from outputs that were stale before is marked already, so that only what is not stale is
    read.
    """
    enqueued = dates.span(tx) if marked else None
    if enqueued is None:
        return
    graph = missing_upstream.needs_graph(tx, context.pipeline)
    outputs = stale_marks.not_stale(tx, computed_from(graph, marked, enqueued[1]))
    inputs = StaleInputs(graph, marked, outputs)
    causes: dict[Pair, list[StaleCause]] = {}
    for (date, name), output in outputs.items():
        if output.is_done and (pairs := inputs.of(name, date)):
            causes[date, name] = _causes(context, pairs, output.started_at)
    stale_marks.mark_computed_from_stale(tx, causes)
    done = sorted({date for date, _ in causes})
    for start in range(0, len(done), _SETTLED_AT_ONCE):
        some = done[start : start + _SETTLED_AT_ONCE]
        stale_marks.settle(tx, some, list(context.pipeline.processors))


def _causes(context: EngineContext, stale: Collection[Pair], started_at: float | None) -> list[StaleCause]:
    """The causes of an output whose latest attempt, which began at a time, has read stale inputs."""
    at = context.now() if started_at is None else started_at + _JUST_AFTER
    return [StaleCause(date, name, at, was_stale=True) for date, name in stale]
