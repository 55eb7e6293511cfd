"""Axes of time: one per cluster of activity, with positions and ticks. Pure."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from backfilld.state.rules.interval_sets import Interval, merged

UNITS = 1000
"""Width of an axis in the units of its pictures."""
MOST_TICKS = 5
MOST_AXES = 8
SHORTEST_GAP = 120.0
"""Seconds without activity that a break needs at least."""
LAST_TICK = 84.0
"""Percent of the width: a label that starts later would not fit."""
MINUTE, HOUR, DAY = 60, 3600, 86400
STEPS = (
    *(1, 2, 5, 10, 15, 30),
    *(MINUTE * n for n in (1, 2, 5, 10, 15, 30)),
    *(HOUR * n for n in (1, 2, 3, 6, 12)),
    *(DAY * n for n in (1, 2, 7, 14, 28, 84, 364)),
)
"""Seconds between two ticks."""


@dataclass(frozen=True, slots=True)
class Axis:
    """The time from `start` to `end`, in epoch seconds."""

    start: float
    end: float

    @property
    def seconds(self) -> float:
        """The length, at least one second."""
        return max(self.end - self.start, 1.0)

    def position(self, at: float) -> int:
        """A time as a position from 0 to `UNITS`."""
        return round(UNITS * min(max((at - self.start) / self.seconds, 0.0), 1.0))

    @property
    def ticks(self) -> Sequence[tuple[float, str]]:
        """Position in percent and label in UTC of up to `MOST_TICKS` ticks."""
        step = next((step for step in STEPS if self.seconds / step <= MOST_TICKS), STEPS[-1])
        return list(self._ticks(step))

    def _ticks(self, step: int) -> Iterator[tuple[float, str]]:
        pattern = "%H:%M:%S" if step < MINUTE else "%H:%M" if step < DAY else "%-d %b"
        for number in range(math.ceil(self.start / step), math.floor(self.end / step) + 1):
            percent = 100 * (number * step - self.start) / self.seconds
            if percent <= LAST_TICK:
                yield round(percent, 1), dt.datetime.fromtimestamp(number * step, dt.UTC).strftime(pattern)


def axes(intervals: Sequence[Interval]) -> list[Axis]:
    """One axis per cluster of activity, oldest first, at most `MOST_AXES`.

    A gap breaks the axis if it is longer than all activity together, and than `SHORTEST_GAP`. Of too many
    gaps, only the longest break it.
    """
    busy = merged(intervals)
    shortest = max(SHORTEST_GAP, sum(end - start for start, end in busy))
    gaps = [
        (after[0] - before[1], number)
        for number, (before, after) in enumerate(pairwise(busy), 1)
        if after[0] - before[1] > shortest
    ]
    breaks = sorted(number for _, number in sorted(gaps, reverse=True)[: MOST_AXES - 1])
    edges = [0, *breaks, len(busy)]
    return [Axis(busy[first][0], busy[last - 1][1]) for first, last in pairwise(edges) if first < last]
