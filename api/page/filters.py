"""How the templates say things: their filters. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any

from backfilld.api.formatting import lasting, size, span
from backfilld.api.schemas.fields import iso
from backfilld.state.formatting import format_counts
from backfilld.state.records import AttemptStatus, attempt_result

_MARKS: Mapping[str, str] = {
    AttemptStatus.RUNNING: "▷",
    attempt_result(AttemptStatus.EXITED, 0): "✓",
    AttemptStatus.CANCELLED: "–",
    AttemptStatus.LOST: "△",
}


def clock(at: float) -> str:
    """A time of today's kind of log: to the second, in UTC."""
    return dt.datetime.fromtimestamp(at, dt.UTC).strftime("%Y-%m-%d %H:%M:%S")


def day(date: dt.date) -> str:
    """A date with its weekday."""
    return f"{date:%A}, {date.day} {date:%B %Y}"


def many(n: float, word: str) -> str:
    """`1 date`, `5,000 dates`."""
    return f"{n:,} {word}" if n == 1 else f"{n:,} {word}s"


def mark(result: str) -> str:
    """The symbol of an attempt's status with its exit code."""
    return _MARKS.get(result, "✗")


def plain(name: str) -> str:
    """A word of the API as people write it."""
    return name.replace("_", " ")


FILTERS: Mapping[str, Callable[..., Any]] = {
    "clock": clock,
    "counts": format_counts,
    "day": day,
    "iso": iso,
    "many": many,
    "mark": mark,
    "plain": plain,
    "result": attempt_result,
    "size": size,
    "lasting": lasting,
    "span": span,
}
