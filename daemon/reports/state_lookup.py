"""What a state database remembers, for whoever makes a report: own attempts, accepted gaps, usual times."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Mapping

from backfilld.daemon.engine import lookback
from backfilld.daemon.reports.plan.plan import Recompute
from backfilld.daemon.reports.snapshot import Known
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.records import CheckRow, Mark
from backfilld.state.store import attempts, checks, dates
from backfilld.state.store.database import Database


def known_checks(db: Database, pipeline: Pipeline, start: dt.date, end: dt.date) -> Known:
    """The checks of the range, both ends included, and of what lies behind it."""
    first, last = lookback.calendar_span(pipeline, start, end)
    span = [dt.date.fromordinal(number) for number in range(first.toordinal(), last.toordinal() + 1)]
    with db.read() as tx:
        found = [check for own in checks.for_dates(tx, span).values() for check in own.values()]
        by_date: dict[dt.date, dict[str, CheckRow]] = defaultdict(dict)
        for check in attempts.with_attempt_history(tx, found):
            by_date[check.date][check.processor] = check
        return by_date


def stale_dates(db: Database, start: dt.date, end: dt.date) -> list[Recompute]:
    """The dates of the range, both ends included, that were computed before an earlier one was repaired."""
    with db.read() as tx:
        found = dates.page(tx, start=start, end=end, mark=Mark.STALE, limit=(end - start).days + 1)
    marked = ((row.date, row.stale_by, row.stale_at) for row in found)
    return [Recompute(date=date, repaired=by, at=at) for date, by, at in marked if by and at is not None]


def typical_seconds(db: Database, pipeline: Pipeline) -> Mapping[str, float | None]:
    """How many seconds a date of each processor usually takes; None while no attempt has succeeded."""
    with db.read() as tx:
        return {name: attempts.typical_seconds(tx, name) for name in pipeline.processors}
