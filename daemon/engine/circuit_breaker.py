"""The circuit breaker: holds a processor after the same error many times in a row."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

from backfilld.daemon.engine import hold_placement
from backfilld.daemon.engine.context import EngineContext
from backfilld.daemon.events import Incident
from backfilld.state.pipeline.processor import Processor
from backfilld.state.records import CheckRow
from backfilld.state.rules.attempt_limits import attempts_of, confirmation_due
from backfilld.state.rules.verdict import UNCERTAIN, Verdict
from backfilld.state.store import circuit_breaker
from backfilld.state.store.checks import CheckResult
from backfilld.state.store.database import Transaction

_DIGITS = re.compile(r"\d+")


def count(
    tx: Transaction, context: EngineContext, judged: Iterable[tuple[CheckRow, CheckResult]]
) -> list[Incident]:
    """Count the first verdict after each attempt. Hold processors that reach `breaker_threshold`.

    An attempt of several dates counts once: as an error where none of them is satisfied. Want of data is
    counted by the query that confirms it: rows may show until then.
    """
    limit = context.pipeline.jobs.breaker_threshold
    results: dict[_Attempt, list[CheckResult]] = defaultdict(list)
    for check, result in judged:
        processor = context.pipeline.processors.get(check.processor)
        if limit and processor is not None and _is_counted(processor, check, result):
            results[_attempt(check)].append(result)
    incidents = []
    for (name, *_), of_attempt in results.items():
        errors = [r for r in of_attempt if r.judgement.verdict not in UNCERTAIN]
        if any(result.judgement.verdict.satisfied for result in errors):
            circuit_breaker.reset(tx, name)
        elif errors:
            incidents += _count_error(tx, context, errors[0], limit)
    return incidents


_Attempt = tuple[str, float | None, float | None]
"""A processor's latest attempt, by its start and its end: one for all dates of a batch."""


def _attempt(check: CheckRow) -> _Attempt:
    return check.processor, check.last_attempt_started_at, check.last_attempt_ended_at


def _is_counted(processor: Processor, check: CheckRow, result: CheckResult) -> bool:
    if result.judgement.verdict is not Verdict.NO_DATA:
        return check.follows_attempt
    attempts, limit = attempts_of(processor, replace(check, verdict=Verdict.NO_DATA))
    due_at = confirmation_due(processor, check)
    return attempts >= limit and due_at is not None and result.asked_at >= due_at


def _count_error(tx: Transaction, context: EngineContext, result: CheckResult, limit: int) -> list[Incident]:
    name = result.processor
    error = f"{result.judgement.verdict}: {result.judgement.reason}"
    length = circuit_breaker.extend(tx, name, _signature(error))
    if length < limit:
        return []
    reason = f"{name} is held: the same error {length} times in a row: {error}"
    if not hold_placement.place_hold(tx, context, "processor", name, reason=reason):
        return []
    circuit_breaker.reset(tx, name)
    return [Incident(kind="breaker", text=reason)]


def _signature(error: str) -> str:
    """The error without digits, because dates, counts and ids differ between occurrences of one fault."""
    return _DIGITS.sub("#", error)[:300]
