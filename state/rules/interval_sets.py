"""Intervals of time: joined, and how much time they cover. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate

Interval = tuple[float, float]
"""Start and end: in epoch seconds, or as positions on an axis."""


def merged(intervals: Iterable[Interval], gap: float = 0.0) -> list[Interval]:
    """The same intervals, oldest first; those that overlap, or are at most `gap` apart, as one."""
    joined: list[Interval] = []
    for start, end in sorted(intervals):
        if joined and start <= joined[-1][1] + gap:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return joined


def without(intervals: Iterable[Interval], removed: Sequence[Interval]) -> list[Interval]:
    """The parts of some intervals that lie outside of `removed`, which is `merged`."""
    ends = [end for _, end in removed]
    parts: list[Interval] = []
    for start, end in intervals:
        at = start
        for index in range(bisect_right(ends, start), len(removed)):
            hole_start, hole_end = removed[index]
            if hole_start >= end:
                break
            if hole_start > at:
                parts.append((at, hole_start))
            at = hole_end
        if at < end:
            parts.append((at, end))
    return parts


class CoveredTime:
    """A clock that runs only inside of some intervals."""

    def __init__(self, intervals: Iterable[Interval], gap: float = 0.0) -> None:
        """The intervals are `merged` first."""
        self._spans: Sequence[Interval] = merged(intervals, gap)
        self._starts = [start for start, _ in self._spans]
        self._before = list(accumulate((end - start for start, end in self._spans), initial=0.0))

    def __call__(self, at: float) -> float:
        """How many seconds before `at` the intervals cover."""
        number = bisect_right(self._starts, at) - 1
        if number < 0:
            return 0.0
        start, end = self._spans[number]
        return self._before[number] + min(at, end) - start
