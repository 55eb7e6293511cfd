"""Builds response models from records of the state database."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from backfilld.api.schemas import progress_models, responses
from backfilld.api.schemas.calendar import Calendar, CalendarGroup
from backfilld.api.schemas.field_types import BackfillStatus
from backfilld.daemon.engine.bulk_request import DateAnswers
from backfilld.daemon.engine.context import EngineContext
from backfilld.daemon.reports import stuck_backfills
from backfilld.daemon.reports.cascade_reach import NO_REACH, CascadeReach
from backfilld.daemon.reports.progress import Progress, Running
from backfilld.daemon.reports.stale_reasons import stale_reason
from backfilld.daemon.reports.window_and_pool_holds import DerivedHold
from backfilld.state.formatting import shown_line
from backfilld.state.pipeline.phase import DONE, FAILED
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.records import AttemptRow, BackfillRow, CheckRow, DateRow, HoldRow, TransitionRow
from backfilld.state.rules.date_outcomes import Outcome
from backfilld.state.rules.gates import WaitReason
from backfilld.state.rules.verdict import Verdict
from backfilld.state.store import attempt_verdicts, backfills
from backfilld.state.store.attempt_verdicts import AttemptVerdict
from backfilld.state.store.attempts import covered
from backfilld.state.store.database import Transaction
from backfilld.state.store.pace_and_calendar_queries import Cell
from backfilld.state.store.stale_marks import StaleCause


def backfill(tx: Transaction, context: EngineContext, row: BackfillRow, **more: Any) -> responses.Backfill:
    """A backfill with its counts."""
    status, stuck_on = stuck_backfills.status(tx, context, row)
    states, outcomes = backfills.status_counts(tx, row.id)
    return responses.Backfill(
        id=row.id,
        status=BackfillStatus(status),
        start=row.start,
        end=row.end,
        dates=row.dates,
        sources=row.sources,
        select=None if row.selection is None else list(row.selection),
        force=row.force,
        priority=row.priority,
        max_failures=row.max_failures,
        note=row.note,
        actor=row.actor,
        created_at=row.created_at,
        stop_reason=row.stop_reason or None,
        stuck_on=stuck_on,
        request_outcomes=backfills.answers(tx, row.id),
        states=states,
        outcomes=outcomes,
        running_attempts=backfills.running_attempts(tx, row.id),
        **more,
    )


def date_summary(
    row: DateRow, waiting_on: str | None, stale_outputs: Mapping[str, Sequence[StaleCause]]
) -> responses.DateSummary:
    """One date in a list; `stale_outputs` are its stale outputs with their causes, by processor."""
    return responses.DateSummary(
        date=row.date,
        state=row.state,
        outcome=Outcome(row.outcome) if row.outcome else None,
        reason=row.reason or None,
        waiting=WaitReason(row.waiting) if row.waiting else None,
        waiting_on=waiting_on,
        season=row.season or None,
        backfill_id=row.backfill_id,
        regressed=row.regressed or None,
        stale=stale_reason(stale_outputs),
    )


def calendar(version: str, cells: Sequence[Cell]) -> Calendar:
    """The state of every date; consecutive dates with the same state and outcome are one span."""
    spans: dict[tuple[str, str], list[tuple[dt.date, dt.date]]] = defaultdict(list)
    for cell in cells:
        group = spans[cell.state, cell.outcome]
        if group and (cell.date - group[-1][1]).days == 1:
            group[-1] = (group[-1][0], cell.date)
        else:
            group.append((cell.date, cell.date))
    groups = [
        CalendarGroup(
            state=state,
            outcome=Outcome(outcome) if outcome else None,
            dates=sum((last - first).days + 1 for first, last in group),
            spans=group,
        )
        for (state, outcome), group in spans.items()
    ]
    start, end = (cells[0].date, cells[-1].date) if cells else (None, None)
    return Calendar(version=version, dates=len(cells), start=start, end=end, groups=groups)


def check(row: CheckRow, pipeline: Pipeline, now: float) -> responses.Check:
    """The latest verdict on a processor, which the pipeline file may no longer have.

    `row` has the latest run of its check command attached.
    """
    processor = pipeline.processors.get(row.processor)
    stage = pipeline.stage_of.get(row.processor)
    final_at = pipeline.provisional_until(row.processor, row.date) or 0.0
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
        provisional_until=final_at if row.verdict is Verdict.COMPLETE and now < final_at else None,
        waiver=_waiver(row),
        attempts=row.attempt_count,
        attempt_id=row.attempt_id,
        check_log=f"/v1/dates/{row.date}/checks/{row.processor}/log" if row.check_run else None,
    )


def date_answers(result: DateAnswers, reach: CascadeReach = NO_REACH) -> responses.DateAnswers:
    """The answers of a request for many dates; `reach` is that of a cascade."""
    changed = len(result.changed)
    return responses.DateAnswers(
        changed=changed,
        refused=len(result.answers) - changed,
        backfill=result.backfill_id,
        further=reach.further,
        failed_dates=list(reach.failed_dates),
        blocking_dates=list(reach.blocking_dates),
        answers=[responses.DateAnswer.model_validate(answer) for answer in result.answers],
    )


def _waiver(row: CheckRow) -> responses.Waiver | None:
    """What an operator accepted goes before what a fallback or a policy lets pass, and still has to."""
    if row.accepted_reason:
        return responses.Waiver(by=row.accepted_by, reason=row.accepted_reason)
    waives = row.waiver_reason and not row.verdict.satisfied
    return responses.Waiver(by=row.waived_by, reason=row.waiver_reason) if waives else None


def attempts(tx: Transaction, rows: Sequence[AttemptRow], pipeline: Pipeline) -> list[responses.Attempt]:
    """Attempts with the dates they cover."""
    numbers = [row.id for row in rows]
    dates, verdicts = covered(tx, numbers), attempt_verdicts.by_attempt(tx, numbers)
    return [_attempt(row, dates[row.id], verdicts.get(row.id, {}), pipeline) for row in rows]


def _attempt(
    row: AttemptRow,
    dates: Sequence[dt.date],
    verdicts: Mapping[dt.date, AttemptVerdict],
    pipeline: Pipeline,
) -> responses.Attempt:
    followed = attempt_verdicts.worst(verdicts)
    error_pattern = pipeline.job_settings(row.processor).error_pattern
    return responses.Attempt(
        id=row.id,
        processor=row.processor,
        phase=row.phase,
        status=row.status,
        exit_code=row.exit_code,
        verdict=followed.verdict if followed else None,
        verdict_reason=followed.reason if followed else "",
        detail=row.detail,
        started_at=row.started_at,
        ended_at=row.ended_at,
        duration_seconds=None if row.ended_at is None else round(row.ended_at - row.started_at, 3),
        tail=row.tail,
        last_line=shown_line(row.tail, error_pattern, failed=not row.ended_well),
        max_rss_bytes=row.max_rss_bytes,
        cpu_seconds=row.cpu_seconds,
        dates=list(dates),
    )


def transition(row: TransitionRow) -> responses.Transition:
    """One state change of a date."""
    return responses.Transition.model_validate(row)


def holds(rows: Sequence[HoldRow | DerivedHold]) -> list[responses.Hold]:
    """Holds that were placed, and those that follow from the pipeline file."""
    return [responses.Hold.model_validate(row) for row in rows]


def progress(report: Progress, pipeline: Pipeline, health: Mapping[str, str]) -> progress_models.Progress:
    """Overall status. `health` is that of the daemon, by check; each problem is named once."""
    done, failed = report.states.get(DONE, 0), report.states.get(FAILED, 0)
    return progress_models.Progress(
        dates=progress_models.DateTotals(total=report.total, done=done, failed=failed, live=report.live),
        states=dict(report.states),
        outcomes=dict(report.outcomes),
        waiting=dict(report.waiting),
        phases=[_phase(report, phase.name) for phase in pipeline.phase],
        seasons=[
            progress_models.SeasonProgress(season=s.name, total=s.total, done=s.done, failed=s.failed)
            for s in report.seasons
        ],
        running=running(report.running, report.now),
        rate_per_hour=report.eta.rate_per_hour,
        eta=report.eta.at,
        eta_method=report.eta.method,
        paused=report.paused,
        holds=holds(report.holds),
        budgets=[responses.Budget.model_validate(budget) for budget in report.budgets],
        regressed=report.regressed,
        stale=report.stale,
        last_progress_at=report.last_progress_at,
        problems=list(dict.fromkeys(text for name, text in health.items() if text and name != "standby")),
    )


def _phase(report: Progress, name: str) -> progress_models.PhaseProgress:
    satisfied, total = report.of_phase(name)
    return progress_models.PhaseProgress(
        phase=name,
        satisfied=satisfied,
        total=total,
        ratio=report.ratio(name),
        processors=[
            progress_models.ProcessorProgress(
                processor=p.name,
                satisfied=p.satisfied,
                waived=p.waived,
                total=p.total,
                verdicts=dict(p.verdicts),
            )
            for p in report.processors
            if p.phase == name
        ],
    )


def running(rows: Sequence[Running], now: float) -> list[progress_models.RunningAttempt]:
    """The running attempts with their age at `now`."""
    return [
        progress_models.RunningAttempt(
            id=row.attempt.id,
            processor=row.attempt.processor,
            dates=list(row.dates),
            started_at=row.attempt.started_at,
            age_seconds=round(max(now - row.attempt.started_at, 0.0), 3),
        )
        for row in rows
    ]
