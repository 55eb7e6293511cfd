"""A timeline of attempts as SVG paths: a lane per processor, and an axis per cluster of attempts. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from backfilld.api.page import template_filters, time_axis
from backfilld.api.page.time_axis import UNITS, Axis
from backfilld.api.schemas.responses import Attempt
from backfilld.state.rules.interval_sets import Interval, merged

HEIGHT = 12
"""Height of a lane in the units of the picture."""
SHORTEST = 4
"""Units of the shortest bar."""
_INSET = 3
"""Units above and below a bar whose output is satisfied: it is lower than the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """The attempts of one processor on one axis. `bars` are SVG paths by CSS class."""

    name: str
    bars: Mapping[str, str]
    summary: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """Attempts without a long gap between them, on an axis of their own."""

    axis: Axis
    lanes: Sequence[Lane]
    attempts: int


def draw(attempts: Sequence[Attempt], now: float) -> list[Cluster]:
    """The clusters, oldest first, with lanes in the order of first starts. A running attempt ends `now`."""
    ends = {
        attempt.id: max(now if attempt.ended_at is None else attempt.ended_at, attempt.started_at)
        for attempt in attempts
    }
    ordered = sorted(attempts, key=lambda attempt: (attempt.started_at, attempt.id))
    clusters = []
    for axis in time_axis.axes([(attempt.started_at, ends[attempt.id]) for attempt in ordered]):
        here = [attempt for attempt in ordered if axis.start <= attempt.started_at <= axis.end]
        lanes: dict[str, list[Attempt]] = defaultdict(list)
        for attempt in here:
            lanes[attempt.processor].append(attempt)
        clusters.append(
            Cluster(
                axis=axis,
                attempts=len(here),
                lanes=[_lane(name, group, ends, axis) for name, group in lanes.items()],
            )
        )
    return clusters


def _lane(name: str, attempts: Sequence[Attempt], ends: Mapping[int, float], axis: Axis) -> Lane:
    spans: dict[tuple[bool, str], list[Interval]] = defaultdict(list)
    for attempt in attempts:
        start = min(axis.position(attempt.started_at), UNITS - SHORTEST)
        end = max(axis.position(ends[attempt.id]), start + SHORTEST)
        spans[not _is_satisfied(attempt), template_filters.attempt_class(attempt)].append((start, end))
    return Lane(
        name=name,
        bars={style: _path(group, 0 if bad else _INSET) for (bad, style), group in sorted(spans.items())},
        summary=summarize(attempts),
    )


def summarize(attempts: Sequence[Attempt]) -> str:
    """What became of some attempts as text: `3 attempts: 2 complete, 1 failed`."""
    if len(attempts) == 1:
        return f"attempt {attempts[0].id}: {template_filters.result(attempts[0])}"
    counts = Counter(template_filters.words(attempt.verdict or attempt.status) for attempt in attempts)
    ends = ", ".join(f"{n} {word}" for word, n in counts.most_common())
    return f"{len(attempts)} attempts: {ends}"


def _is_satisfied(attempt: Attempt) -> bool:
    return attempt.verdict is not None and attempt.verdict.satisfied


def _path(spans: Sequence[Interval], inset: int) -> str:
    """One path for all bars of a class; bars that overlap are drawn once."""
    height = HEIGHT - 2 * inset
    return "".join(f"M{start} {inset}h{end - start}v{height}h{start - end}z" for start, end in merged(spans))
