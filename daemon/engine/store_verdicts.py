"""Stores verdicts, with all that follows from them: marks, moves, and dates that are due.

A verdict is stored only if its check did not change since its query was sent; otherwise the check is queried
again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from backfilld.daemon.engine import (
    check_command_runs,
    circuit_breaker,
    failed_date_auto_recovery,
    foreign_writes,
    missing_upstream,
    periods,
    regressed_dates,
    requery_compared,
    stale_dates,
)
from backfilld.daemon.engine.context import EngineContext
from backfilld.daemon.event_types import Event
from backfilld.daemon.warehouses.adapter import Answers, Purpose
from backfilld.state.pipeline.phase import DONE
from backfilld.state.records import CheckRow
from backfilld.state.rules.verdict import UNCERTAIN
from backfilld.state.store import attempt_verdicts, checks, dates
from backfilld.state.store.checks import CheckResult
from backfilld.state.store.database import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """Checks with their results, not stored yet, and the evidence that they rest on."""

    results: Sequence[tuple[CheckRow, CheckResult]]
    answers: Answers
    purpose: Purpose
    certain: bool = False
    """Whether uncertain verdicts are not stored."""


def store(tx: Transaction, context: EngineContext, judged: Judged) -> list[Event]:
    """Store verdicts. Returns the events to emit."""
    now = context.now()
    check_command_runs.request(tx, context, judged.results, judged.answers)
    results = [(c, r) for c, r in judged.results if not (judged.certain and r.judgement.verdict in UNCERTAIN)]
    saved_pairs = checks.save(tx, [result for _, result in results])
    saved = [(check, r) for check, r in results if (r.date, r.processor) in saved_pairs]
    incidents = circuit_breaker.count(tx, context, saved)
    if judged.purpose == "gate":
        attempt_verdicts.record(tx, saved)
    judged_dates = sorted({date for date, _ in saved_pairs})
    rows = dates.get_many(tx, judged_dates)
    moves = stale_dates.mark_stale(tx, context, saved, rows)
    moves += failed_date_auto_recovery.update(tx, context, saved, rows)
    done = [date for date, row in rows.items() if row.state == DONE]
    incidents += regressed_dates.update(tx, context, done)
    dates.make_dates_due(tx, judged_dates, dates.IMMEDIATELY)
    satisfied = [
        (r.date, r.processor)
        for c, r in saved
        if not c.satisfied and (r.judgement.verdict.satisfied or c.accepted_reason)
    ]
    missing_upstream.wake_unblocked(tx, context, satisfied)
    changed = {
        (r.date, r.processor)
        for c, r in saved
        if r.judgement.verdict.satisfied or r.judgement.verdict is not c.verdict
    }
    periods.wake(tx, context, changed.difference(satisfied))
    requery_compared.request_waiting(tx, context.pipeline, changed, saved_pairs, now)
    requery_compared.request_outdated_references(
        tx, context.pipeline, {(c.date, c.processor) for c, _ in judged.results}, judged.answers, now
    )
    return [*moves, *incidents, *foreign_writes.events(saved, judged.answers, done)]
