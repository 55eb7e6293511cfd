"""The calendar's stored answers: counts per date."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Collection, Mapping
from functools import cache

from sqlalchemy import Connection, Insert, bindparam, func, select

from backfilld.state.rules.dates_between import dates_between
from backfilld.state.rules.season_calendar import Counts
from backfilld.state.store.schema import calendar_days
from backfilld.state.store.sql_helpers import execute, fetch, select_by_dates, upsert_in

_IS_BETWEEN = calendar_days.c.date.between(bindparam("_start"), bindparam("_end"))
_BETWEEN = select(calendar_days.c.date, calendar_days.c.counts).where(_IS_BETWEEN)
_ASKED_BETWEEN = select(calendar_days.c.asked_at).where(_IS_BETWEEN)
_NUMBER_BETWEEN = select(func.count()).select_from(calendar_days).where(_IS_BETWEEN)


def save(tx: Connection, counts: Mapping[dt.date, Counts | None], now: float) -> None:
    """Store what the calendar said at `now`; a newer answer replaces an older one.

    None stands for a date of a calendar that does not count.
    """
    rows = [{"date": date, "counts": _dump(known), "asked_at": now} for date, known in counts.items()]
    execute(tx, _save(tx.dialect.name), rows)


@cache
def _save(dialect: str) -> Insert:
    statement = upsert_in(dialect, calendar_days)
    fresh = {"counts": statement.excluded.counts, "asked_at": statement.excluded.asked_at}
    return statement.on_conflict_do_update(index_elements=["date"], set_=fresh)


def between(tx: Connection, start: dt.date, end: dt.date) -> dict[dt.date, Counts | None]:
    """Counts of the dates that the calendar was asked about, both ends included."""
    rows = fetch(tx, _BETWEEN, {"_start": start, "_end": end})
    return {row.date: load_counts(row.counts) for row in rows}


def for_dates(tx: Connection, wanted: Collection[dt.date]) -> dict[dt.date, Counts | None]:
    """Counts of those of the dates that the calendar was asked about."""
    return {row.date: load_counts(row.counts) for row in select_by_dates(tx, calendar_days, wanted)}


def unknown_between(tx: Connection, start: dt.date, end: dt.date) -> list[dt.date]:
    """The dates for which the calendar was not read, both ends included, oldest first."""
    here = {"_start": start, "_end": end}
    days = (end - start).days + 1
    if fetch(tx, _NUMBER_BETWEEN, here)[0][0] == max(days, 0):
        return []
    known = {row.date for row in fetch(tx, _BETWEEN, here)}
    return [date for date in dates_between(start, end) if date not in known]


def oldest_answer(tx: Connection, start: dt.date, end: dt.date) -> float | None:
    """When the oldest answer for the range was given; None when some date was never asked about."""
    times = [row.asked_at for row in fetch(tx, _ASKED_BETWEEN, {"_start": start, "_end": end})]
    complete = len(times) == (end - start).days + 1
    return min(times) if complete else None


def _dump(counts: Counts | None) -> str | None:
    return None if counts is None else json.dumps(dict(counts), ensure_ascii=False)


def load_counts(text: str | None) -> Counts | None:
    """The stored counts of a date; None where the calendar does not count."""
    counts: Counts | None = None if text is None else json.loads(text)
    return counts
