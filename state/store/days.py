"""The calendar's answers, kept: games per date."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping

from sqlalchemy import Connection, bindparam, select

from state.store.spread import rows_of
from state.store.upsert import insert
from state.tables import days

_BETWEEN = select(days.c.date, days.c.games).where(
    days.c.date.between(bindparam("_start"), bindparam("_end"))
)


def save(tx: Connection, games: Mapping[dt.date, int | None], now: float) -> None:
    """Keep what the calendar said at `now`; a newer answer replaces an older one."""
    if not games:
        return
    rows = [{"date": date, "games": count, "asked_at": now} for date, count in games.items()]
    statement = insert(tx, days)
    fresh = {"games": statement.excluded.games, "asked_at": statement.excluded.asked_at}
    tx.execute(statement.on_conflict_do_update(index_elements=["date"], set_=fresh), rows)


def known(tx: Connection, start: dt.date, end: dt.date) -> dict[dt.date, int | None]:
    """Games per date that the calendar was asked about, both ends included."""
    return {row.date: row.games for row in tx.execute(_BETWEEN, {"_start": start, "_end": end})}


def known_among(tx: Connection, wanted: Collection[dt.date]) -> dict[dt.date, int | None]:
    """Games per date, for those of the dates that the calendar was asked about."""
    chosen = set(wanted)
    return {row.date: row.games for row in rows_of(tx, days, chosen) if row.date in chosen}


def oldest_answer(tx: Connection, start: dt.date, end: dt.date) -> float | None:
    """When the oldest answer for the range was given; None when some date was never asked about."""
    rows = tx.execute(select(days.c.asked_at).where(days.c.date.between(start, end))).scalars().all()
    complete = len(rows) == (end - start).days + 1
    return min(rows) if complete else None
