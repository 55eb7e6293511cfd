"""Judges done dates again by a changed pipeline file, from stored figures, without a query.

The stored row count is enough to find a date that has too few or too many rows by the rules of today, and to
find it complete where these are its only rules. For all other figures the warehouse is queried: at once for
outputs of dates that are marked as regressed, at the next revalidation for the others.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence

from backfilld.daemon.engine.context import EngineContext
from backfilld.state.pipeline.processor import Processor
from backfilld.state.records import CheckRow
from backfilld.state.rules.evidence import Evidence
from backfilld.state.rules.judge import Judgement, judge
from backfilld.state.rules.season_calendar import Day
from backfilld.state.rules.verdict import Verdict
from backfilld.state.store import calendar_days, checks, dates
from backfilld.state.store.checks import CheckResult
from backfilld.state.store.database import Transaction

_BY_ROWS = (Verdict.COMPLETE, Verdict.PARTIAL, Verdict.EXCESS)
"""Verdicts that a row count can give."""
_BY_FIGURES = (*_BY_ROWS, Verdict.DEGRADED)
"""Verdicts that rest on counted rows."""
_CHUNK = 500


def judge_done_dates(tx: Transaction, context: EngineContext) -> list[dt.date]:
    """Store the verdicts that stored row counts give by today's rules. Returns the dates with another one."""
    done = dates.expected_and_done(tx)
    changed: set[dt.date] = set()
    for first in range(0, len(done), _CHUNK):
        results = list(_new_results(tx, context, done[first : first + _CHUNK]))
        changed |= {date for date, _ in checks.save(tx, results)}
    return sorted(changed)


def query_regressed(tx: Transaction, context: EngineContext, regressed: Sequence[dt.date]) -> None:
    """Query what regressed dates are missing: by today's rules it may be complete."""
    pairs = [
        (date, name)
        for date, by_name in checks.for_dates(tx, regressed).items()
        for name, check in by_name.items()
        if not check.satisfied and check.attempt_id is None and name in context.pipeline.processors
    ]
    checks.request_check(tx, pairs, context.now())


def _new_results(tx: Transaction, context: EngineContext, chunk: Sequence[dt.date]) -> Iterator[CheckResult]:
    pipeline = context.pipeline
    counts = calendar_days.for_dates(tx, chunk)
    for date, by_name in checks.for_dates(tx, chunk).items():
        day = pipeline.seasons.day(date, counts.get(date))
        for name, check in by_name.items():
            processor = pipeline.processors.get(name)
            judgement = _judgement(context, processor, check, day) if processor else None
            if judgement is not None and _differs(judgement, check):
                yield CheckResult(
                    date=date,
                    processor=name,
                    output=check.output,
                    generation=check.generation,
                    judgement=judgement,
                    asked_at=check.asked_at or 0.0,
                    ask_again_at=check.query_due_at,
                )


def _judgement(context: EngineContext, processor: Processor, check: CheckRow, day: Day) -> Judgement | None:
    """What the stored rows mean by the rules of today; None where they do not decide it."""
    counted = check.rows and check.asked_at is not None and check.verdict in _BY_FIGURES
    if not counted or check.attempt_id is not None or check.follows_rewrite:
        return None
    expectation = processor.expect.about_rows
    known = context.pipeline.judge_context(processor, now=context.now())
    judgement = judge(Evidence(rows=check.rows or 0), expectation, day, known)
    decides = judgement.verdict is not Verdict.COMPLETE or expectation is processor.expect
    return judgement if judgement.verdict in _BY_ROWS and decides else None


def _differs(judgement: Judgement, check: CheckRow) -> bool:
    same_reason = judgement.verdict is Verdict.COMPLETE or judgement.reason == check.reason
    return judgement.verdict is not check.verdict or not same_reason
