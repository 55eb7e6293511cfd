"""What reports read from a state database: attempts, accepted gaps, done and stale dates, usual durations."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Mapping

from backfilld.daemon.reports.current_verdicts import Known
from backfilld.daemon.reports.plan.plan import Recompute
from backfilld.daemon.reports.stale_reasons import stale_reason
from backfilld.state.pipeline.phase import DONE, FAILED
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.records import CheckRow
from backfilld.state.rules.dates_between import dates_between
from backfilld.state.rules.required_calendar_range import calendar_span
from backfilld.state.rules.state_machine import FINAL
from backfilld.state.store import attempts, check_command_runs, checks, dates, stale_marks
from backfilld.state.store.database import Database


def known_checks(db: Database, pipeline: Pipeline, start: dt.date, end: dt.date) -> Known:
    """The checks of the range, both ends included, and of what it needs or completes its periods."""
    first, last = calendar_span(pipeline, pipeline.needs.starting(start), start, end)
    span = list(dates_between(first, last))
    with db.read() as tx:
        stored = [check for by_name in checks.for_dates(tx, span).values() for check in by_name.values()]
        by_date: dict[dt.date, dict[str, CheckRow]] = defaultdict(dict)
        stored = check_command_runs.attached(tx, stored, pipeline.check_commands)
        for check in attempts.with_attempt_history(tx, stored):
            by_date[check.date][check.processor] = check
        return by_date


def stale_dates(db: Database, start: dt.date, end: dt.date) -> list[Recompute]:
    """The ended dates of the range, both ends included, with outputs from before a change of their inputs."""
    with db.read() as tx:
        rows = dates.page(tx, start=start, end=end, states=FINAL, limit=(end - start).days + 1)
        failed = {row.date for row in rows if row.state == FAILED}
        stale = [row.date for row in rows if row.stale_at is not None]
        outputs = stale_marks.stale_outputs(tx, stale)
    found = []
    for date, by_name in outputs.items():
        if causes := [cause for of_one in by_name.values() for cause in of_one]:
            latest = max(causes, key=lambda cause: cause.at)
            found.append(
                Recompute(
                    date=date,
                    repaired=latest.date,
                    at=latest.at,
                    failed=date in failed,
                    reason=stale_reason(by_name) or "",
                )
            )
    return found


def done_dates(db: Database, start: dt.date, end: dt.date) -> set[dt.date]:
    """The done dates of the range, both ends included."""
    return _dates_in(db, start, end, DONE)


def failed_dates(db: Database, start: dt.date, end: dt.date) -> set[dt.date]:
    """The failed dates of the range, both ends included."""
    return _dates_in(db, start, end, FAILED)


def _dates_in(db: Database, start: dt.date, end: dt.date, state: str) -> set[dt.date]:
    with db.read() as tx:
        rows = dates.page(tx, start=start, end=end, states=[state], limit=(end - start).days + 1)
    return {row.date for row in rows}


def typical_seconds(db: Database, pipeline: Pipeline) -> Mapping[str, float | None]:
    """The usual seconds per date of each processor; None while no attempt has succeeded."""
    with db.read() as tx:
        return {name: attempts.typical_seconds(tx, name) for name in pipeline.processors}
