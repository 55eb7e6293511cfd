"""View models of the pages beyond the API responses: the calendar image, plan summaries."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from backfilld.api.daemon_interface import DaemonService
from backfilld.api.page import calendar_heatmap
from backfilld.api.page.date_styles import DateStyle, DateStyles
from backfilld.api.schemas.plans import Plan
from backfilld.api.schemas.responses import Check, DateDetail
from backfilld.daemon.engine import rerun_processors
from backfilld.daemon.engine.accept_dates import acceptances
from backfilld.daemon.engine.withdrawn_waiver_messages import withdrawal
from backfilld.daemon.reports.plan.models import Step
from backfilld.state.pipeline.phase import FAILED, PENDING
from backfilld.state.rules.state_machine import FINAL
from backfilld.state.rules.verdict import Verdict
from backfilld.state.store import attempts, checks, pace_and_calendar_queries


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedJobs:
    """The jobs of one processor in a plan: the first job, their number, and their total seconds if known."""

    first: Step
    jobs: int
    seconds: float | None


@dataclass(frozen=True, slots=True)
class CalendarImage:
    """The calendar grid."""

    rows: Sequence[calendar_heatmap.Row]

    @property
    def styles(self) -> set[DateStyle]:
        """The styles in use."""
        return {layer.style for row in self.rows for layer in row.layers}


def calendar_image_version(service: DaemonService) -> str:
    """Changes whenever the image does: a date changed its state, a job started or ended."""
    with service.context.db.read() as tx:
        running = [str(row.id) for row in attempts.running(tx)]
        return "-".join([pace_and_calendar_queries.calendar_version(tx), *running])


def calendar_image(service: DaemonService, styles: DateStyles) -> CalendarImage:
    """The calendar grid of all dates."""
    with service.context.db.read() as tx:
        cells = pace_and_calendar_queries.calendar(tx)
        covered = attempts.covered(tx, [row.id for row in attempts.running(tx)])
    running = {date for dates in covered.values() for date in dates}
    return CalendarImage(calendar_heatmap.rows(cells, service.pipeline.seasons, styles, running))


def passed_states(date: DateDetail) -> set[str]:
    """The states that a date has passed since it was last put to `pending`."""
    passed: set[str] = set()
    for move in date.transitions:
        passed = set() if move.target == PENDING else passed | {move.source}
    return passed


def by_phase(date: DateDetail) -> list[tuple[str, list[Check]]]:
    """The verdicts of a date by phase, in the order of the pipeline; `running` where an attempt runs."""
    groups = groupby(map(_with_running_attempt, date.processors), lambda check: check.phase or "")
    return [(phase, list(checks)) for phase, checks in groups]


def _with_running_attempt(check: Check) -> Check:
    """The verdict as the grid shows it."""
    if check.attempt_id is None:
        return check
    now = {
        "verdict": Verdict.RUNNING,
        "symbol": Verdict.RUNNING.symbol,
        "reason": f"attempt {check.attempt_id}",
    }
    return check.model_copy(update=now)


def acceptable(service: DaemonService, date: dt.date) -> set[str]:
    """The processors whose missing output an operator can accept."""
    with service.context.db.read() as tx:
        refusals = acceptances(tx, service.context, [date])[date]
    return {name for name, why in refusals.items() if not why}


def withdrawals(service: DaemonService, date: dt.date) -> dict[str, str]:
    """Which waivers retries of a date withdraw, as ends of their dialogs' texts.

    By processor, for a retry of it alone, and under the empty name for one of the whole date.
    """
    with service.context.db.read() as tx:
        accepted = checks.accepted(tx, [date])
    outputs = {"": accepted, **{check.processor: [check] for check in accepted}}
    return {name: f" It {withdrawal(rows)}." for name, rows in outputs.items() if rows}


def rerunnable(service: DaemonService, date: DateDetail) -> set[str]:
    """The processors that it helps to run alone for a date: it has ended, and expects something of them.

    What a failed date never came to is not among them: it would wait for what is missing before it.
    """
    if date.state not in FINAL:
        return set()
    waits = {check.processor for check in date.processors if date.state == FAILED and _never_tried(check)}
    names = [name for name in service.pipeline.processors if name not in waits]
    with service.context.db.read() as tx:
        off = rerun_processors.off_by_processor(tx, service.context, [date.date], names)
    return {name for name in names if not off.get(date.date, {}).get(name)}


def _never_tried(check: Check) -> bool:
    return check.verdict is Verdict.NEVER_RAN and not check.attempts


def summarize_plan(plan: Plan) -> Iterator[tuple[str, list[PlannedJobs]]]:
    """The jobs of each processor by phase, in the order in which they would run."""
    for phase in plan.phases:
        steps: dict[str, list[Step]] = {}
        for step in phase.steps:
            steps.setdefault(step.processor, []).append(step)
        yield (
            phase.phase,
            [
                PlannedJobs(first=group[0], jobs=len(group), seconds=_total([step.seconds for step in group]))
                for group in steps.values()
            ],
        )


def _total(seconds: Sequence[float | None]) -> float | None:
    known = [value for value in seconds if value is not None]
    return sum(known) if len(known) == len(seconds) else None
