"""The sweep: every done date is validated again within `revalidate_within`, a batch at a time.

Each run looks up the date that was not validated for longest: one index seek while none is due. If it is due,
dates that come due soon after are validated with it, so that a sweep takes few queries of bounded size. The
sweep yields to queries of live dates, and waits while queries are on hold.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping

from backfilld.daemon.engine.collect_evidence import Validator
from backfilld.daemon.engine.context import EngineContext
from backfilld.daemon.warehouses.adapter import WarehouseError
from backfilld.state.records import CheckRow
from backfilld.state.rules.verdict import Verdict
from backfilld.state.store import checks, done_date_rechecks, wakeup_schedule

TICK_SECONDS = 60.0
"""How often the sweep looks for a due date."""
BATCH = 200
"""How many dates one query covers at most."""
ROUNDS = 24
"""Dates that come due within 1/`ROUNDS` of `revalidate_within` are validated early, with those due now."""


class Sweeper:
    """Validates done dates again."""

    def __init__(self, context: EngineContext, validator: Validator) -> None:
        self._context = context
        self._validator = validator

    def run(self) -> int:
        """Validate the dates that are due, unless live dates have queries. Returns how many."""
        revalidate_within = self._context.pipeline.engine.revalidate_within
        due = self._due(revalidate_within) if revalidate_within else {}
        if not due:
            return 0
        asked_at = self._context.now()
        due_checks = [check for date_checks in due.values() for check in date_checks]
        try:
            self._validator.refresh_calendar(min(due), max(due))
            self._validator.revalidate(due_checks, purpose="sweep", certain=True)
        except WarehouseError as error:
            self._validator.pause_queries(error)
            return 0
        self._mark(due, asked_at, revalidate_within)
        return len(due)

    def _mark(
        self, due: Mapping[dt.date, Collection[CheckRow]], asked_at: float, revalidate_within: float
    ) -> None:
        """Record the dates as validated. One without an answer comes due again after `recheck_interval`."""
        now, engine = self._context.now(), self._context.pipeline.engine
        with self._context.db.write() as tx:
            answered = checks.for_dates(tx, due)
            names = self._context.pipeline.processors
            missed = [
                date
                for date, by_name in answered.items()
                if any(_is_missed(c, asked_at) for n, c in by_name.items() if n in names)
            ]
            done_date_rechecks.mark_swept(tx, due.keys() - missed, now)
            soon = min(now, now - revalidate_within + engine.recheck_interval)
            done_date_rechecks.mark_swept(tx, missed, soon)

    def _due(self, revalidate_within: float) -> Mapping[dt.date, Collection[CheckRow]]:
        """The dates to validate now, with their checks."""
        now = self._context.now()
        with self._context.db.read() as tx:
            oldest = done_date_rechecks.next_unchecked(tx)
            # Due is also what would be late at the next look.
            late = now - revalidate_within + TICK_SECONDS
            if oldest is None or oldest >= late:
                return {}
            todo = wakeup_schedule.due_queries(tx, now)
            if todo.held or todo.wanted:
                return {}
            early = max(late, now - revalidate_within * (1 - 1 / ROUNDS))
            rows = done_date_rechecks.unchecked_since(tx, early, BATCH)
            due_checks = checks.for_dates(tx, [row.date for row in rows])
        return {row.date: due_checks[row.date].values() for row in rows}


def _is_missed(check: CheckRow, asked_at: float) -> bool:
    """Whether no answer came since: its table could not be queried, whichever query tried."""
    return check.asked_at is None or check.asked_at < asked_at or check.verdict is Verdict.UNKNOWN
