"""Pace and ETA of a backfill over time as SVG paths: ended dates, and the time left as estimated. Pure."""

from __future__ import annotations

import statistics
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from backfilld.api.page.time_axis import DAY, HOUR, MINUTE, STEPS, Axis
from backfilld.daemon.reports.pace import Work
from backfilld.daemon.reports.progress import estimate
from backfilld.state.rules.interval_sets import Interval

HEIGHT = 60
"""Height of a picture in its units."""
MOST_BUCKETS = 36
SHORTEST_BUCKET = 10
"""Seconds."""
FEWEST_ON_AXIS = 12
"""An axis has room for at least so many buckets: a bar is never a block."""
LONGEST_GAP = 6
"""Empty buckets in a row that an axis shows; more of them break it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """The dates that ended from `start` on, the last of them `at`, and what was estimated then."""

    start: float
    at: float
    ended: int
    left: int
    rate_per_hour: float | None
    eta: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PaceChart:
    """Buckets without a long gap between them. `bars` and `line` are SVG paths."""

    axis: Axis
    width: int
    """Seconds of a bucket."""
    buckets: Sequence[Bucket]
    bars: str
    most: int
    """Dates of the highest bar."""
    line: str
    longest: float | None
    """Seconds left at the upper edge of the line; None where nothing was estimated."""

    @property
    def unit(self) -> str:
        """The width of a bucket as text: `10 s`, `15 min`, `1 h`, `7 d`."""
        for seconds, name in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min")):
            if self.width >= seconds:
                return f"{self.width // seconds} {name}"
        return f"{self.width} s"


def draw(ended: Sequence[float], left: int, jobs: Sequence[Interval] = ()) -> list[PaceChart]:
    """The charts, oldest first, by the times at which dates ended and the number of dates that have not.

    `jobs` are the times in which jobs ran: only these count for a rate.
    """
    ends = sorted(ended)
    if not ends:
        return []
    width = _width(ends)
    charts: list[list[Bucket]] = []
    for bucket in _buckets(ends, left, width, Work(ends, jobs, ends[-1])):
        if charts and bucket.start - charts[-1][-1].start <= (LONGEST_GAP + 1) * width:
            charts[-1].append(bucket)
        else:
            charts.append([bucket])
    return [_chart(buckets, width) for buckets in charts]


def _width(ends: Sequence[float]) -> int:
    """Seconds of a bucket: at least the usual time between two ends, and few enough buckets.

    The longest gap is not usual: of two dates that end a week apart each has a chart.
    """
    gaps = sorted(after - before for before, after in pairwise(ends))[:-1]
    usual = statistics.median(gaps) if gaps else 0.0
    for step in STEPS:
        if step >= max(usual, SHORTEST_BUCKET) and len({int(at // step) for at in ends}) <= MOST_BUCKETS:
            return step
    return STEPS[-1]


def _buckets(ends: Sequence[float], left: int, width: int, work: Work) -> Iterator[Bucket]:
    done = 0
    while done < len(ends):
        start = ends[done] // width * width
        after = bisect_left(ends, start + width)
        last = ends[after - 1]
        remaining = left + len(ends) - after
        eta = estimate(work.pace(last), live=remaining, waiting={}, holds=(), now=last)
        yield Bucket(
            start=start,
            at=last,
            ended=after - done,
            left=remaining,
            rate_per_hour=eta.rate_per_hour,
            eta=eta.at,
        )
        done = after


def _chart(buckets: Sequence[Bucket], width: int) -> PaceChart:
    start = buckets[0].start
    axis = Axis(start, max(buckets[-1].start + width, start + FEWEST_ON_AXIS * width))
    most = max(bucket.ended for bucket in buckets)
    known = [(bucket.at, bucket.eta - bucket.at) for bucket in buckets if bucket.eta is not None]
    longest = max(seconds for _, seconds in known) if len(known) > 1 else None
    points = [(axis.position(at), round(HEIGHT * (1 - seconds / (longest or 1)))) for at, seconds in known]
    return PaceChart(
        axis=axis,
        width=width,
        buckets=buckets,
        bars="".join(_bar(bucket, axis, width, most) for bucket in buckets),
        most=most,
        line="".join(f"{'L' if number else 'M'}{x} {y}" for number, (x, y) in enumerate(points)),
        longest=longest,
    )


def _bar(bucket: Bucket, axis: Axis, width: int, most: int) -> str:
    """A bar on the base line, with a gap before the next one."""
    x = axis.position(bucket.start)
    wide = max(axis.position(bucket.start + width) - x - 2, 1)
    height = max(round(HEIGHT * bucket.ended / most), 1)
    return f"M{x} {HEIGHT}h{wide}v{-height}h{-wide}z"
