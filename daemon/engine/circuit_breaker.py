"""The circuit breaker: holds a processor after the same error many times in a row."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable

from backfilld.daemon.engine import processor_and_table_holds
from backfilld.daemon.engine.context import EngineContext
from backfilld.daemon.event_types import Incident
from backfilld.state.pipeline.processor import Processor
from backfilld.state.records import CheckRow
from backfilld.state.rules.attempt_limits import attempts_of, confirmation_due
from backfilld.state.rules.needs_graph import Pair
from backfilld.state.rules.verdict import UNCERTAIN, Verdict
from backfilld.state.store import attempt_verdicts, circuit_breaker
from backfilld.state.store.checks import CheckResult
from backfilld.state.store.database import Transaction

_DIGITS = re.compile(r"\d+")


def count(
    tx: Transaction, context: EngineContext, judged: Iterable[tuple[CheckRow, CheckResult]]
) -> list[Incident]:
    """Count the first verdict after each attempt. Hold processors that reach `breaker_threshold`.

    An attempt that an operator or the daemon ended, or whose host is gone, is no error of the job, and does
    not count. One of several dates counts once: as an error where none of them is satisfied. Want of data is
    counted by the query that confirms it, as rows may show until then; a changed `confirm_after` may have it
    confirmed once more. Where a check command gives the verdict, the first date of an attempt for which it
    has run counts for all of them.

    Call it before these verdicts are recorded for their attempts.
    """
    limit = context.pipeline.jobs.breaker_threshold
    results: dict[_Attempt, list[CheckResult]] = defaultdict(list)
    judged = list(judged) if limit else []
    checked = _first_after_check(tx, context, judged)
    for check, result in judged:
        processor = context.pipeline.processors.get(check.processor)
        first = check.follows_attempt or (check.date, check.processor) in checked
        if processor is not None and _is_counted(processor, check, result, first):
            results[_attempt(check)].append(result)
    incidents, counted = [], circuit_breaker.counted(tx) if results else set()
    for (name, *_), of_attempt in results.items():
        errors = [r for r in of_attempt if r.judgement.verdict not in UNCERTAIN]
        if any(result.judgement.verdict.satisfied for result in errors):
            if name in counted:
                circuit_breaker.reset(tx, name)
        elif errors and attempt_verdicts.count_for_breaker(tx, (errors[0].date, name)):
            counted.add(name)
            incidents += _count_error(tx, context, errors[0], limit)
    return incidents


_Attempt = tuple[str, float | None, float | None]
"""A processor's latest attempt, by its start and its end: one for all dates of a batch."""


def _attempt(check: CheckRow) -> _Attempt:
    return check.processor, check.last_attempt_started_at, check.last_attempt_ended_at


def _first_after_check(
    tx: Transaction, context: EngineContext, judged: Iterable[tuple[CheckRow, CheckResult]]
) -> set[Pair]:
    """The pairs with the first verdict after an attempt that was unknown until a check command ended."""
    waited = [
        (check.date, check.processor)
        for check, result in judged
        if check.processor in context.pipeline.check_commands
        and check.verdict is Verdict.UNKNOWN
        and result.judgement.verdict not in UNCERTAIN
        and check.last_attempt_ended_at is not None
        and not check.follows_attempt
    ]
    known = attempt_verdicts.judged_before(tx, waited)
    return {pair for pair in waited if pair not in known}


def _is_counted(processor: Processor, check: CheckRow, result: CheckResult, first: bool) -> bool:
    if not check.last_attempt_counts:
        return False
    if result.judgement.verdict is not Verdict.NO_DATA:
        return first
    attempts, limit = attempts_of(processor, check._replace(verdict=Verdict.NO_DATA))
    due_at = confirmation_due(processor, check)
    return attempts >= limit and due_at is not None and result.asked_at >= due_at


def _count_error(tx: Transaction, context: EngineContext, result: CheckResult, limit: int) -> list[Incident]:
    name = result.processor
    error = f"{result.judgement.verdict}: {result.judgement.reason}"
    length = circuit_breaker.extend(tx, name, _signature(error))
    if length < limit:
        return []
    reason = f"{name} is held: the same error {length} times in a row: {error}"
    if not processor_and_table_holds.place_hold(tx, context, "processor", name, reason=reason):
        return []
    circuit_breaker.reset(tx, name)
    return [Incident(kind="breaker", text=reason)]


def _signature(error: str) -> str:
    """The error without digits, because dates, counts and ids differ between occurrences of one fault."""
    return _DIGITS.sub("#", error)[:300]
