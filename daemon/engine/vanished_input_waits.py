"""Inputs that vanish after the query that let a job start: the date waits for them instead of failing.

Before a date fails, or goes without an output by its priority, the inputs of what it tried are queried again,
unless that was done since the attempt began. A missing one is the cause: the date waits for it, or goes back
to the state of its own date that fills it. Attempts without an input count for nothing.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator, Sequence

from backfilld.daemon.engine.advance_batch import AdvanceBatch
from backfilld.daemon.engine.context import EngineContext
from backfilld.daemon.engine.due_checks import DateChecks
from backfilld.state.pipeline.phase import Stage
from backfilld.state.records import CheckRow, DateRow, RunMode
from backfilld.state.rules.dates_between import dates_between
from backfilld.state.rules.gates import Advance, Decision, Fail, Wait, WaitReason, WaivedBy
from backfilld.state.rules.needs_graph import NeedsGraph, Pair
from backfilld.state.rules.verdict import Verdict
from backfilld.state.store import checks


def wait(
    batch: AdvanceBatch,
    context: EngineContext,
    row: DateRow,
    stage: Stage,
    decision: Decision,
) -> Wait | None:
    """The wait for inputs of what a date would fail for, or go without; None where they are there."""
    date_checks = batch.checks.decisive(row.date)
    tried = _given_up(stage, decision, date_checks)
    if not tried:
        return None
    outdated = list(_not_queried_since(batch, row.date, tried))
    if outdated:
        queried = [c for c in (*outdated, *tried) if c.query_due_at is None]
        batch.to_query += [(check.date, check.processor) for check in queried]
        return Wait(waiting=WaitReason.VERDICT)
    processors = [context.pipeline.processors[check.processor] for check in tried]
    missing = batch.upstream.missing_texts(processors, batch.days[row.date], date_checks)
    if not missing:
        return None
    checks.forget_attempts(batch.tx, [(row.date, name) for name in missing])
    batch.unchecked.append(row)
    # Due at once: the gate decides again without these attempts, so that others keep their retries.
    return Wait(waiting=WaitReason.EARLIER_DATE, text=min(missing.values()), until=context.now())


def forget_attempts(batch: AdvanceBatch, date: dt.date, stage: Stage, date_checks: DateChecks) -> None:
    """Count no attempts of a state of which an input is missing again, where they left nothing complete."""
    pairs = [(date, check.processor) for check in _tried(stage, date_checks)]
    checks.forget_attempts(batch.tx, pairs)


def _tried(stage: Stage, date_checks: DateChecks) -> list[CheckRow]:
    """The outputs of a state that attempts of this request left unsatisfied."""
    known = [date_checks[p.name] for p in stage.processors if p.name in date_checks]
    return [c for c in known if c.attempt_count and not c.verdict.satisfied and c.attempt_id is None]


def _given_up(stage: Stage, decision: Decision, date_checks: DateChecks) -> list[CheckRow]:
    """The tried outputs that the date would fail for, or go without by a fallback or its priority."""
    tried = _tried(stage, date_checks)
    if isinstance(decision, Fail):
        return [check for check in tried if not check.accepted_reason]
    waivers = decision.waivers if isinstance(decision, Advance) else {}
    waived = [name for name, waiver in waivers.items() if waiver.by is not WaivedBy.OPERATOR]
    return [check for check in tried if check.processor in waived]


def _not_queried_since(batch: AdvanceBatch, date: dt.date, tried: Sequence[CheckRow]) -> Iterator[CheckRow]:
    """The inputs of tried outputs that no query has answered for since their attempts began, or a retry."""
    since: dict[Pair, float] = defaultdict(float)
    for output in tried:
        for pair in _inputs(batch.upstream.graph, output.processor, date):
            since[pair] = max(since[pair], output.last_attempt_started_at or 0.0)
    stored = checks.for_dates(batch.tx, {day for day, _ in since})
    for (day, name), at in since.items():
        check = stored[day].get(name)
        if check and (_is_retried(check) or (_may_have_vanished(check) and (check.asked_at or 0.0) < at)):
            yield check


def _is_retried(check: CheckRow) -> bool:
    """Whether an input that was complete satisfies nothing until it is queried for a retry of its date."""
    owed = check.mode not in (RunMode.NORMAL, RunMode.RETRY)
    is_complete = check.verdict is Verdict.COMPLETE and check.attempt_id is None
    return is_complete and not check.satisfied and not owed and check.query_due_at is not None


def _inputs(graph: NeedsGraph, processor: str, date: dt.date) -> Iterator[Pair]:
    for name, span in graph.needs(processor, date):
        for needed in dates_between(span.first, span.last):
            yield needed, name


def _may_have_vanished(check: CheckRow) -> bool:
    """Whether a query can show that an input is gone: it is satisfied by its rows."""
    waived = check.waived_by or check.accepted_reason
    return check.satisfied and not waived and check.verdict is Verdict.COMPLETE
