"""The sweep: every done date is looked at again within `engine.sweep`, a few at a time.

A tick looks whether the date that was not looked at for longest is due: one seek of an index while none is.
If it is, those that come due soon after are taken along, so that a round asks few questions, each of bounded
size. It stands back while live dates have questions, and while the warehouse cannot be asked.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping

from backfilld.daemon.engine.context import EngineContext
from backfilld.daemon.engine.validate import Validator
from backfilld.daemon.warehouses.adapter import WarehouseError
from backfilld.state.records import CheckRow
from backfilld.state.store import checks, staleness, work

TICK_SECONDS = 60.0
"""How often it is looked whether a date is due."""
BATCH = 200
"""How many dates one question is about at most."""
TOGETHER = 24
"""Dates that come due within this part of the pace are taken along: so many questions a round at least."""


class Sweeper:
    """The duty that looks at done dates again."""

    def __init__(self, context: EngineContext, validator: Validator) -> None:
        self._context = context
        self._validator = validator

    def run(self) -> int:
        """Ask about the dates that are due, if nothing else is to be asked; how many were looked at."""
        every = self._context.pipeline.engine.revalidate_within
        due = self._due(every) if every else {}
        if not due:
            return 0
        known = [check for own in due.values() for check in own]
        try:
            self._validator.revalidate(known, purpose="sweep", certain=True)
        except WarehouseError as error:
            self._validator.pause_queries(error)
            return 0
        with self._context.db.write() as tx:
            staleness.mark_swept(tx, due.keys(), self._context.now())
        return len(due)

    def _due(self, every: float) -> Mapping[dt.date, Collection[CheckRow]]:
        """The dates to look at now, with their checks."""
        now = self._context.now()
        with self._context.db.read() as tx:
            oldest = staleness.next_unchecked(tx)
            if oldest is None or oldest > now - every:
                return {}
            todo = work.due_queries(tx, now)
            if todo.held or todo.wanted:
                return {}
            rows = staleness.unchecked_since(tx, now - every * (1 - 1 / TOGETHER), BATCH)
            known = checks.for_dates(tx, [row.date for row in rows])
        return {row.date: known[row.date].values() for row in rows}
