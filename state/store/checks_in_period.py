"""Checks of one processor over a week or month, and the dates that wait for the rest of it."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import Connection, bindparam, select

from backfilld.state.records import CheckRow
from backfilld.state.store import row_mappers
from backfilld.state.store.index_conditions import AWAITS_PERIOD, IS_RUNNABLE
from backfilld.state.store.runnable_jobs import COLUMNS, RunnableCheck
from backfilld.state.store.schema import checks
from backfilld.state.store.sql_helpers import fetch

_OF_PERIOD = (
    checks.c.processor == bindparam("_processor"),
    checks.c.date.between(bindparam("_first"), bindparam("_last")),
)
_BETWEEN = select(checks).where(*_OF_PERIOD).order_by(checks.c.date)
_RUNNABLE = select(*COLUMNS).where(IS_RUNNABLE, *_OF_PERIOD).order_by(checks.c.date)
_AWAITING = select(checks.c.date).where(AWAITS_PERIOD, *_OF_PERIOD)
_FIRST_AWAITING = (
    select(checks.c.date)
    .where(AWAITS_PERIOD, checks.c.processor == bindparam("_processor"), checks.c.date > bindparam("_after"))
    .order_by(checks.c.date)
    .limit(1)
)


def between(tx: Connection, processor: str, first: dt.date, last: dt.date) -> list[CheckRow]:
    """The checks of a processor from `first` to `last`, both included, oldest first."""
    values = {"_processor": processor, "_first": first, "_last": last}
    return [row_mappers.check(row) for row in fetch(tx, _BETWEEN, values)]


def runnable(tx: Connection, processor: str, first: dt.date, last: dt.date) -> list[RunnableCheck]:
    """The runnable checks of a processor from `first` to `last`, both included, oldest first."""
    values = {"_processor": processor, "_first": first, "_last": last}
    return [RunnableCheck(*row) for row in fetch(tx, _RUNNABLE, values)]


def awaiting(tx: Connection, processor: str, first: dt.date, last: dt.date) -> list[dt.date]:
    """The dates from `first` to `last` that are ready, and wait for other dates of their period."""
    values = {"_processor": processor, "_first": first, "_last": last}
    return [row.date for row in fetch(tx, _AWAITING, values)]


def first_awaiting(tx: Connection, processor: str, after: dt.date) -> dt.date | None:
    """The first date later than `after` that waits for other dates of its period; None when none does."""
    rows = fetch(tx, _FIRST_AWAITING, {"_processor": processor, "_after": after})
    return rows[0].date if rows else None
