"""Late data: until when an output is provisional, and when it is to be computed once more. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from zoneinfo import ZoneInfo

CATCH_UP = 7 * 86400.0
"""A refresh that was missed is made up for within this many seconds, and left out after that."""


def date_end(date: dt.date, zone: ZoneInfo) -> float:
    """The midnight after a date in a time zone, in epoch seconds: the ages of a date count from it."""
    next_day = dt.datetime.combine(date + dt.timedelta(days=1), dt.time(), tzinfo=zone)
    return next_day.timestamp()


def missed_refresh(
    date: dt.date, ages: Iterable[float], zone: ZoneInfo, *, computed_at: float, now: float
) -> float | None:
    """The latest of the ages, in seconds, that an output has reached since it was computed; None: none."""
    end = date_end(date, zone)
    reached = [age for age in ages if computed_at < end + age <= now < end + age + CATCH_UP]
    return max(reached, default=None)


def refresh_dates(ages: Iterable[float], now: float) -> Iterator[dt.date]:
    """All dates that may have reached one of the ages so lately that its refresh is not left out."""
    day = 86400.0
    for age in ages:
        # The ends of dates lie within a day around midnight in UTC.
        for ended in range(int((now - age - CATCH_UP) // day) - 2, int((now - age) // day) + 2):
            yield dt.date(1970, 1, 1) + dt.timedelta(days=ended)
