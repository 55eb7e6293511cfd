"""A chart of one figure per date as SVG paths: points by verdict over the band of what is allowed. Pure."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 1000.0, 150.0
"""The drawing area, in the units of the picture."""
_POINT = "h0"
"""A line without length, drawn as a dot by its round ends: it stays round in a stretched picture."""

Bounds = tuple[float, float | None]
"""The least and the most that a date may have; None: no upper limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """SVG paths in an area of `WIDTH` by `HEIGHT`; `top` is the value at its upper edge."""

    top: float
    band: str
    points: Mapping[str, str]
    """A path of points by verdict."""
    months: Sequence[tuple[float, str]]
    dates: int


def draw(
    start: dt.date,
    end: dt.date,
    values: Mapping[dt.date, tuple[float, str]],
    bounds: Mapping[dt.date, Bounds] | None = None,
) -> Chart:
    """The chart of `values` (figure and verdict by date), with the band of `bounds` behind them."""
    bounds = bounds or {}
    most = max([value for value, _ in values.values()] + [b[1] or b[0] for b in bounds.values()], default=0)
    top = most * 1.08 or 1.0
    step = WIDTH / ((end - start).days + 1)

    def x(date: dt.date) -> float:
        return ((date - start).days + 0.5) * step

    def y(value: float) -> float:
        return HEIGHT * (1 - min(value, top) / top)

    points: dict[str, str] = defaultdict(str)
    for date, (value, verdict) in values.items():
        points[verdict] += f"M{x(date):.1f} {y(value):.1f}{_POINT}"
    band = "".join(
        f"M{x(date) - step / 2:.1f} {y(limit if limit is not None else top):.1f}h{step:.1f}"
        f"V{y(least):.1f}h{-step:.1f}z"
        for date, (least, limit) in bounds.items()
    )
    return Chart(
        top=most, band=band, points=points, months=list(_months(start, end, step)), dates=len(values)
    )


def _months(start: dt.date, end: dt.date, step: float) -> Iterator[tuple[float, str]]:
    """Position in percent and name of each month that begins within the chart."""
    named = False
    for number in range((end - start).days + 1):
        date = start + dt.timedelta(days=number)
        if date.day == 1 or (number == 0 and date.day < 6):
            name = f"{date:%b}" if named and date.month != 1 else f"{date:%b %Y}"
            yield round(100 * number * step / WIDTH, 1), name
            named = True
