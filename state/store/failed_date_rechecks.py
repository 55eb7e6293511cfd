"""Failed dates: which are due to be queried again."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection

from sqlalchemy import BindParameter, Connection, bindparam, case, select, update

from backfilld.state.pipeline.phase import FAILED
from backfilld.state.records import DateRow
from backfilld.state.rules.date_outcomes import Outcome
from backfilld.state.store import row_mappers
from backfilld.state.store.index_conditions import LAST_CHECKED_AT
from backfilld.state.store.schema import dates
from backfilld.state.store.sql_helpers import execute, fetch

LONGEST_INTERVAL = 3600.0
"""Seconds between two queries about a date that failed long ago."""

_LACKS_OUTPUT = (dates.c.state == FAILED, dates.c.outcome != Outcome.CANCELLED.value)
_SINCE_END = LAST_CHECKED_AT - dates.c.ended_at
_SHORTEST: BindParameter[float] = bindparam("_shortest")
_LONGEST: BindParameter[float] = bindparam("_longest")
_INTERVAL = case((_SINCE_END < _SHORTEST, _SHORTEST), (_SINCE_END > _LONGEST, _LONGEST), else_=_SINCE_END)
_DUE = (
    select(dates)
    .where(*_LACKS_OUTPUT, bindparam("_now") >= LAST_CHECKED_AT + _INTERVAL)
    .order_by(dates.c.date)
    .limit(bindparam("_limit"))
)
_THESE = dates.c.date.in_(bindparam("_dates", expanding=True))
_CHECKED = update(dates).where(_THESE).values(swept_at=bindparam("_now"))


def due(tx: Connection, now: float, interval: float, limit: int) -> list[DateRow]:
    """Up to `limit` failed dates to query again: after `interval` seconds, then ever less often."""
    longest = max(interval, LONGEST_INTERVAL)
    values = {"_now": now, "_shortest": interval, "_longest": longest, "_limit": limit}
    return [row_mappers.date(row) for row in fetch(tx, _DUE, values)]


def mark_checked(tx: Connection, checked: Collection[dt.date], now: float) -> None:
    """Record that failed dates are queried again."""
    execute(tx, _CHECKED, [{"_dates": list(checked), "_now": now}])
