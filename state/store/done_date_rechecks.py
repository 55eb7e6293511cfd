"""Marks of done dates: when each was last checked, and which are no longer complete."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping

from sqlalchemy import (
    Connection,
    bindparam,
    select,
    update,
)

from backfilld.state.pipeline.phase import DONE
from backfilld.state.records import DateRow
from backfilld.state.store import row_mappers
from backfilld.state.store.index_conditions import IS_SWEPT, LAST_CHECKED_AT
from backfilld.state.store.schema import dates
from backfilld.state.store.sql_helpers import execute, fetch, fetch_one

_NEXT = select(LAST_CHECKED_AT).select_from(dates).where(IS_SWEPT).order_by(LAST_CHECKED_AT).limit(1)
_UNCHECKED_SINCE = (
    select(dates)
    .where(IS_SWEPT, bindparam("_at") >= LAST_CHECKED_AT)
    .order_by(LAST_CHECKED_AT, dates.c.date)
    .limit(bindparam("_limit"))
)
_THESE = dates.c.date.in_(bindparam("_dates", expanding=True))
_SWEPT = update(dates).where(_THESE).values(swept_at=bindparam("_now"))
_DONE = select(dates).where(dates.c.state == DONE, _THESE)
_SET_REGRESSED = update(dates).where(dates.c.date == bindparam("_date")).values(regressed=bindparam("_text"))

_SET_REASON = (
    update(dates)
    .where(dates.c.date == bindparam("_date"), dates.c.state == DONE)
    .values(reason=bindparam("_reason"))
)


def next_unchecked(tx: Connection) -> float | None:
    """When the least recently checked done date was checked; None without any."""
    row = fetch_one(tx, _NEXT)
    return row[0] if row else None


def unchecked_since(tx: Connection, at: float, limit: int) -> list[DateRow]:
    """Up to `limit` done dates last checked at or before `at`, least recent first."""
    return [row_mappers.date(row) for row in fetch(tx, _UNCHECKED_SINCE, {"_at": at, "_limit": limit})]


def mark_swept(tx: Connection, looked_at: Collection[dt.date], now: float) -> None:
    """Record that done dates were checked."""
    execute(tx, _SWEPT, [{"_dates": list(looked_at), "_now": now}])


def done_dates(tx: Connection, wanted: Collection[dt.date]) -> dict[dt.date, DateRow]:
    """The done ones of some dates."""
    return {row.date: row_mappers.date(row) for row in fetch(tx, _DONE, {"_dates": list(wanted)})}


def set_regressed(tx: Connection, texts: Mapping[dt.date, str]) -> None:
    """Set why dates are no longer complete; an empty text clears it."""
    execute(tx, _SET_REGRESSED, [{"_date": date, "_text": text} for date, text in texts.items()])


def set_reasons(tx: Connection, reasons: Mapping[dt.date, str]) -> None:
    """Set the reasons of how done dates are done."""
    execute(tx, _SET_REASON, [{"_date": date, "_reason": text} for date, text in reasons.items()])
