"""Rows of the state database as the API tells them."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Sequence

from backfilld.api.schemas import responses
from backfilld.api.schemas.calendar import Calendar, CalendarGroup
from backfilld.api.schemas.fields import BackfillStatus
from backfilld.daemon.engine.budgets import Budget
from backfilld.daemon.reports.progress import Progress, Running
from backfilld.state.formatting import format_utc
from backfilld.state.pipeline.phase import DONE, FAILED
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.records import AttemptRow, BackfillRow, CheckRow, DateRow, HoldRow, TransitionRow
from backfilld.state.store import backfills
from backfilld.state.store.attempts import covered
from backfilld.state.store.database import Transaction
from backfilld.state.store.queries import Cell

TAKEN_OVER = "taken_over"
"""Where a date stands that another backfill holds now."""


def backfill(tx: Transaction, row: BackfillRow, **more: int) -> responses.Backfill:
    """A backfill with its counts."""
    states, outcomes = backfills.status_counts(tx, row.id)
    return responses.Backfill(
        id=row.id,
        status=BackfillStatus(backfills.status(tx, row)),
        start=row.start,
        end=row.end,
        dates=row.dates,
        sources=row.sources,
        force=row.force,
        priority=row.priority,
        max_failures=row.max_failures,
        note=row.note,
        actor=row.actor,
        created_at=row.created_at,
        stop_reason=row.stop_reason or None,
        answers=backfills.answers(tx, row.id),
        states={state or TAKEN_OVER: n for state, n in states.items()},
        outcomes=outcomes,
        running_attempts=backfills.running_attempts(tx, row.id),
        **more,
    )


def date_summary(row: DateRow, waiting_on: str | None) -> responses.DateSummary:
    """One date in a list."""
    return responses.DateSummary(
        date=row.date,
        state=row.state,
        outcome=row.outcome or None,
        reason=row.reason or None,
        waiting=row.waiting or None,
        waiting_on=waiting_on,
        season=row.season or None,
        backfill_id=row.backfill_id,
        regressed=row.regressed or None,
        stale=stale(row),
    )


def calendar(version: str, cells: Sequence[Cell]) -> Calendar:
    """Where every date stands; consecutive dates that stand alike are one span."""
    spans: dict[tuple[str, str], list[tuple[dt.date, dt.date]]] = defaultdict(list)
    for cell in cells:
        own = spans[cell.state, cell.outcome]
        if own and (cell.date - own[-1][1]).days == 1:
            own[-1] = (own[-1][0], cell.date)
        else:
            own.append((cell.date, cell.date))
    groups = [
        CalendarGroup(
            state=state,
            outcome=outcome or None,
            dates=sum((last - first).days + 1 for first, last in own),
            spans=own,
        )
        for (state, outcome), own in spans.items()
    ]
    start, end = (cells[0].date, cells[-1].date) if cells else (None, None)
    return Calendar(version=version, dates=len(cells), start=start, end=end, groups=groups)


def stale(row: DateRow) -> str | None:
    """Since when a date is to be computed again, and why."""
    if row.stale_by is None or row.stale_at is None:
        return None
    return f"{row.stale_by} was repaired at {format_utc(row.stale_at)}, after this date was computed"


def check(row: CheckRow, pipeline: Pipeline) -> responses.Check:
    """What is known of a processor; the pipeline file may no longer have it."""
    processor = pipeline.processors.get(row.processor)
    stage = pipeline.stage_of.get(row.processor)
    accepted = (
        responses.Accepted(by=row.accepted_by, reason=row.accepted_reason) if row.accepted_reason else None
    )
    return responses.Check(
        processor=row.processor,
        phase=stage.phase.name if stage else None,
        priority=processor.priority.value if processor else None,
        verdict=row.verdict,
        symbol=row.verdict.symbol,
        satisfied=row.satisfied,
        rows=row.counted,
        expected=row.expected,
        reason=row.reason,
        asked_at=row.asked_at,
        waiver_reason=row.waiver_reason or None,
        accepted=accepted,
        attempts=row.attempt_count,
        attempt_id=row.attempt_id,
    )


def attempts(tx: Transaction, rows: Sequence[AttemptRow]) -> list[responses.Attempt]:
    """Attempts with the dates they cover."""
    dates = covered(tx, [row.id for row in rows])
    return [_attempt(row, dates[row.id]) for row in rows]


def _attempt(row: AttemptRow, dates: Sequence[dt.date]) -> responses.Attempt:
    return responses.Attempt(
        id=row.id,
        processor=row.processor,
        phase=row.phase,
        status=row.status,
        exit_code=row.exit_code,
        detail=row.detail,
        started_at=row.started_at,
        ended_at=row.ended_at,
        duration_seconds=None if row.ended_at is None else round(row.ended_at - row.started_at, 3),
        tail=row.tail,
        max_rss_bytes=row.max_rss_bytes,
        cpu_seconds=row.cpu_seconds,
        dates=list(dates),
    )


def transition(row: TransitionRow) -> responses.Transition:
    """One move of a date."""
    return responses.Transition(
        source=row.source,
        target=row.target,
        trigger=row.trigger,
        reason=row.reason,
        actor=row.actor,
        at=row.at,
    )


def holds(rows: Sequence[HoldRow]) -> list[responses.Hold]:
    """What may not start."""
    return [
        responses.Hold(
            kind=row.kind, key=row.key, reason=row.reason, actor=row.actor, since=row.since, until=row.until
        )
        for row in rows
    ]


def progress(found: Progress, pipeline: Pipeline) -> responses.Progress:
    """How everything stands."""
    done, failed = found.states.get(DONE, 0), found.states.get(FAILED, 0)
    return responses.Progress(
        dates=responses.DateTotals(total=found.total, done=done, failed=failed, live=found.live),
        states=dict(found.states),
        outcomes=dict(found.outcomes),
        waiting=dict(found.waiting),
        phases=[_phase(found, phase.name) for phase in pipeline.phase],
        seasons=[
            responses.SeasonProgress(season=s.name, total=s.total, done=s.done, failed=s.failed)
            for s in found.seasons
        ],
        running=running(found.running, found.now),
        rate_per_hour=found.eta.rate_per_hour,
        eta=found.eta.at,
        eta_method=found.eta.method,
        paused=found.paused,
        holds=holds(found.holds),
        budgets=[_budget(budget) for budget in found.budgets],
        regressed=found.regressed,
        stale=found.stale,
        last_progress_at=found.last_progress_at,
    )


def _budget(row: Budget) -> responses.Budget:
    return responses.Budget(
        kind=row.kind,  # type: ignore[arg-type]  # one of the words it names
        key=row.key,
        limit=row.limit,
        extra=row.extra,
        spent=row.spent,
        resets_at=row.resets_at,
    )


def _phase(found: Progress, name: str) -> responses.PhaseProgress:
    satisfied, total = found.of_phase(name)
    return responses.PhaseProgress(
        phase=name,
        satisfied=satisfied,
        total=total,
        ratio=found.ratio(name),
        processors=[
            responses.ProcessorProgress(
                processor=p.name, satisfied=p.satisfied, total=p.total, verdicts=dict(p.verdicts)
            )
            for p in found.processors
            if p.phase == name
        ],
    )


def running(found: Sequence[Running], now: float) -> list[responses.RunningAttempt]:
    """The attempts under way."""
    return [
        responses.RunningAttempt(
            id=one.attempt.id,
            processor=one.attempt.processor,
            dates=list(one.dates),
            started_at=one.attempt.started_at,
            age_seconds=round(max(now - one.attempt.started_at, 0.0), 3),
        )
        for one in found
    ]
