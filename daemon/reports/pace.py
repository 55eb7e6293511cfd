"""How fast dates end while jobs run: hours in which nothing ran do not count. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from backfilld.state.formatting import pluralize
from backfilld.state.rules.interval_sets import CoveredTime, Interval

WINDOW_SECONDS = 3600.0
"""The rate is that of so many seconds in which jobs ran."""
OLDEST_SECONDS = 86_400.0
"""Dates that ended longer ago say nothing about the rate."""
IDLE_SECONDS = 90.0
"""A longer time without a job is idle. A shorter one is part of the work: the warehouse is queried then."""
SHORTEST_SECONDS = 60.0
"""A rate needs jobs that ran for so long after the first end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Dates that ended: how many, the seconds of work since the first one, and the seconds without work.

    `more`: others ended within the same hour of work, but only the latest are counted.
    """

    ended: int
    seconds: float = 0.0
    idle_seconds: float = 0.0
    more: bool = False

    @property
    def since_first(self) -> int:
        """The dates that ended after the first one: those that the seconds were needed for."""
        return max(self.ended - 1, 0)

    @property
    def per_hour(self) -> float | None:
        """Dates per hour of work; None where too little ran."""
        if self.ended < 2 or self.seconds < SHORTEST_SECONDS:
            return None
        return self.since_first / self.seconds * 3600

    @property
    def basis(self) -> str:
        """What the rate is based on, or why there is none."""
        if self.ended < 2:
            return "fewer than two dates have ended within the last hour of work"
        if self.seconds < SHORTEST_SECONDS:
            return "jobs have run for less than a minute since the first date ended"
        return f"{self._counted}{self._idle}"

    @property
    def _counted(self) -> str:
        number = pluralize(self.since_first, "date")
        if self.more:
            return f"the latest {number} ended within {_minutes(self.seconds)}"
        if self.idle_seconds:
            return f"{number} ended within {_minutes(self.seconds)} of work"
        if self.seconds >= WINDOW_SECONDS - SHORTEST_SECONDS:
            return f"{number} ended within the last hour"
        return f"{number} ended since the first end {_minutes(self.seconds)} ago"

    @property
    def _idle(self) -> str:
        return f"; {_minutes(self.idle_seconds)} without jobs not counted" if self.idle_seconds else ""


class Work:
    """When dates ended and jobs ran, as far as known: oldest first, and jobs as intervals."""

    def __init__(self, ends: Sequence[float], jobs: Iterable[Interval], now: float) -> None:
        """A job that runs ends `now`. The end of a date is work too: it may need no job."""
        self._ends = ends
        self._time = CoveredTime([*jobs, *((at, at) for at in ends), (now, now)], IDLE_SECONDS)

    def pace(self, at: float, *, more: bool = False) -> Pace:
        """The pace at a time, by the last hour of work. `more`: earlier ends are not known."""
        oldest = bisect_left(self._ends, at - OLDEST_SECONDS)
        first = bisect_left(self._ends, self._time(at) - WINDOW_SECONDS, lo=oldest, key=self._time)
        after = bisect_right(self._ends, at)
        if first >= after:
            return Pace(ended=0)
        begun = self._ends[first]
        seconds = self._time(at) - self._time(begun)
        idle = at - begun - seconds
        return Pace(
            ended=after - first,
            seconds=seconds,
            idle_seconds=idle if idle > IDLE_SECONDS else 0.0,
            more=more and first == 0,
        )


def _minutes(seconds: float) -> str:
    minutes = max(round(seconds / 60), 1)
    if minutes >= 120:
        return f"{minutes / 60:.0f} hours"
    return pluralize(minutes, "minute")
