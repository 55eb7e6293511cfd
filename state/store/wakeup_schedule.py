"""What the workers can do now, and when to wake them next. Each is one statement, as it runs often."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Exists,
    bindparam,
    exists,
    func,
    literal_column,
    or_,
    select,
)

from backfilld.state.pipeline.phase import PENDING
from backfilld.state.rules.gates import WaitReason
from backfilld.state.store.holds import WAREHOUSE
from backfilld.state.store.index_conditions import IS_RUNNABLE
from backfilld.state.store.schema import checks, dates, holds
from backfilld.state.store.sql_helpers import fetch

_NOW: ColumnElement[float] = bindparam("_now")
_DUE = dates.c.due_at <= _NOW


class EngineSchedule(NamedTuple):
    """What the engine can do, and when; times are epoch seconds, None where there is nothing."""

    hold_ends_at: float | None
    """When the next hold expires; that of the warehouse only where that is not past."""
    date_due_at: float | None
    """When the next date is due for evaluation."""
    query_due_at: float | None
    """When the next query is due that was not due already."""
    runnable: bool
    """A check is runnable."""
    query_is_due: bool
    """A query is due, or a date waits for the calendar to be read."""

    @property
    def wakeup_at(self) -> float | None:
        """When the next date, query or end of a hold is due."""
        return min((at for at in self[:3] if at is not None), default=None)

    def is_over(self, now: float) -> bool:
        """Whether a hold has expired."""
        return self.hold_ends_at is not None and self.hold_ends_at <= now

    def is_due(self, now: float) -> bool:
        """Whether a date is due for evaluation."""
        return self.date_due_at is not None and self.date_due_at <= now


class DueQueries(NamedTuple):
    """What the validator can do now."""

    wanted: bool
    """A query is due."""
    admitting: bool
    """A pending date is due: its admission will request more queries."""
    held: bool
    """All queries are on hold, possibly past the end of the hold."""
    without_calendar: bool
    """A date waits for the calendar to be read."""


def _any(table: Any, *conditions: ColumnElement[bool]) -> Exists:
    return exists(1).select_from(table).where(*conditions)


_QUERY_IS_DUE = _any(checks, checks.c.query_due_at <= _NOW)
_LACKS_CALENDAR = _any(dates, dates.c.waiting == literal_column(f"'{WaitReason.CALENDAR}'"))
_QUERIES = select(
    _QUERY_IS_DUE,
    _any(dates, _DUE, dates.c.state == PENDING),
    _any(holds, holds.c.kind == WAREHOUSE),
    _LACKS_CALENDAR,
)
_ENGINE = select(
    # That of the warehouse's hold is no alarm once it has come: until an answer lifts it, the hold stays.
    select(func.min(holds.c.until))
    .where(or_(holds.c.kind != WAREHOUSE, holds.c.until > _NOW))
    .scalar_subquery(),
    select(func.min(dates.c.due_at)).where(dates.c.due_at.is_not(None)).scalar_subquery(),
    select(func.min(checks.c.query_due_at)).where(checks.c.query_due_at > _NOW).scalar_subquery(),
    _any(checks, IS_RUNNABLE),
    or_(_QUERY_IS_DUE, _LACKS_CALENDAR),
)


def engine_schedule(tx: Connection, now: float) -> EngineSchedule:
    """What the engine can do at `now`, and when it can do more."""
    return EngineSchedule._make(fetch(tx, _ENGINE, {"_now": now})[0])


def due_queries(tx: Connection, now: float) -> DueQueries:
    """What the validator can do at `now`."""
    return DueQueries(*fetch(tx, _QUERIES, {"_now": now})[0])
