"""The quota day: from one midnight to the next in the time zone in which quotas are reset. Pure."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo


def quota_day(now: float, zone: str) -> dt.date:
    """The day that `now` (epoch seconds) belongs to in a time zone."""
    return dt.datetime.fromtimestamp(now, ZoneInfo(zone)).date()


def next_midnight(now: float, zone: str) -> float:
    """Epoch seconds of the first midnight after `now` in a time zone."""
    tomorrow = quota_day(now, zone) + dt.timedelta(days=1)
    return dt.datetime.combine(tomorrow, dt.time(), tzinfo=ZoneInfo(zone)).timestamp()
