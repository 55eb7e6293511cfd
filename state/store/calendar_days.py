"""The calendar's answers, kept: games per date."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping

from sqlalchemy import Connection, bindparam, select

from backfilld.state.store.schema import calendar_days
from backfilld.state.store.sql import select_by_dates, upsert

_BETWEEN = select(calendar_days.c.date, calendar_days.c.games).where(
    calendar_days.c.date.between(bindparam("_start"), bindparam("_end"))
)


def save(tx: Connection, games: Mapping[dt.date, int | None], now: float) -> None:
    """Keep what the calendar said at `now`; a newer answer replaces an older one."""
    if not games:
        return
    rows = [{"date": date, "games": count, "asked_at": now} for date, count in games.items()]
    statement = upsert(tx, calendar_days)
    fresh = {"games": statement.excluded.games, "asked_at": statement.excluded.asked_at}
    tx.execute(statement.on_conflict_do_update(index_elements=["date"], set_=fresh), rows)


def between(tx: Connection, start: dt.date, end: dt.date) -> dict[dt.date, int | None]:
    """Games per date that the calendar was asked about, both ends included."""
    return {row.date: row.games for row in tx.execute(_BETWEEN, {"_start": start, "_end": end})}


def for_dates(tx: Connection, wanted: Collection[dt.date]) -> dict[dt.date, int | None]:
    """Games per date, for those of the dates that the calendar was asked about."""
    chosen = set(wanted)
    return {row.date: row.games for row in select_by_dates(tx, calendar_days, chosen) if row.date in chosen}


def oldest_answer(tx: Connection, start: dt.date, end: dt.date) -> float | None:
    """When the oldest answer for the range was given; None when some date was never asked about."""
    rows = (
        tx.execute(select(calendar_days.c.asked_at).where(calendar_days.c.date.between(start, end)))
        .scalars()
        .all()
    )
    complete = len(rows) == (end - start).days + 1
    return min(rows) if complete else None
