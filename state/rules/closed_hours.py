"""Closed hours: when a window of the pipeline file lets no job start, and when it opens again. Pure."""

from __future__ import annotations

import bisect
import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from backfilld.state.rules.recurring_days import WEEKDAYS, Weekday

_DAY = 86400.0
HORIZON = 9 * _DAY
"""An opening that does not come within this many seconds never comes: hours repeat each week."""


@dataclass(frozen=True, slots=True)
class Closure:
    """One time during which a window is closed, in epoch seconds; `end` is not part of it."""

    window: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Delay:
    """Why a job may not start now."""

    closure: Closure
    """The first time that the job would start in, or run into."""
    until: float | None
    """When it may start, in epoch seconds; None: never, as it takes longer than the windows are ever open."""


@dataclass(frozen=True, slots=True)
class Closed:
    """The same of a processor as a sentence, with the time of the opening; None: never."""

    text: str
    until: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedHours:
    """Hours of each day during which nothing starts, by the wall clock of a time zone.

    They begin when the clock first shows `closes`, and end when it shows `opens` or later for good: an hour
    that comes twice is closed twice, and one that is left out shortens them.
    """

    name: str
    closes: dt.time
    opens: dt.time
    """On the next day where it is not later than `closes`."""
    zone: ZoneInfo
    weekdays: frozenset[Weekday] = frozenset(WEEKDAYS)
    """The days of the week on which it closes."""

    def closures(self, first: float, last: float) -> Iterator[Closure]:
        """The times of closure that reach into `first` to `last`, in order."""
        day = dt.datetime.fromtimestamp(first - 2 * _DAY, self.zone).date()
        until = dt.datetime.fromtimestamp(last + _DAY, self.zone).date()
        while day <= until:
            next_day = day + dt.timedelta(days=1)
            if WEEKDAYS[day.weekday()] in self.weekdays:
                start = self._instant(dt.datetime.combine(day, self.closes), last=False)
                opening = dt.datetime.combine(day if self.opens > self.closes else next_day, self.opens)
                end = self._instant(opening, last=True)
                if start <= last and end > first and start < end:
                    yield Closure(self.name, start, end)
            day = next_day

    def _instant(self, wall: dt.datetime, *, last: bool) -> float:
        """When the clock shows `wall` for the first or last time; when it jumps over it, that moment."""
        one, other = (wall.replace(tzinfo=self.zone, fold=fold).timestamp() for fold in (0, 1))
        if one <= other:
            return other if last else one
        after = wall.replace(tzinfo=self.zone, fold=1).utcoffset()
        seconds = range(int(other), int(one) + 1)
        place = bisect.bisect_left(seconds, x=True, key=lambda at: self._offset(at) == after)
        return float(seconds[place])

    def _offset(self, at: float) -> dt.timedelta | None:
        return dt.datetime.fromtimestamp(at, self.zone).utcoffset()


def delay(windows: Sequence[ClosedHours], now: float, seconds: float) -> Delay | None:
    """Why a job that takes `seconds` may not start at `now`, and when it may; None if it may start."""
    closures = sorted(
        (closure for window in windows for closure in window.closures(now, now + HORIZON + seconds)),
        key=lambda closure: (closure.start, closure.end),
    )
    at, first = now, None
    for closure in closures:
        if closure.start > at and closure.start >= at + seconds:
            break
        if closure.end > at:
            at, first = closure.end, first or closure
    if first is None:
        return None
    return Delay(first, at if at <= now + HORIZON else None)


def open_seconds(windows: Sequence[ClosedHours], now: float, most: float) -> float:
    """For how many seconds from `now` no window closes, at most `most`; 0 where one is closed."""
    starts = [closure.start for window in windows for closure in window.closures(now, now + most)]
    return min(max(min(starts, default=now + most) - now, 0.0), most)
