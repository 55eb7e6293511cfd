"""Filters of the templates. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any

from backfilld.api.formatting import format_bytes, format_duration, format_total_duration
from backfilld.api.schemas.fields import iso
from backfilld.state.formatting import format_counts
from backfilld.state.records import AttemptStatus, attempt_result

_SYMBOLS: Mapping[str, str] = {
    AttemptStatus.RUNNING: "▷",
    attempt_result(AttemptStatus.EXITED, 0): "✓",
    AttemptStatus.CANCELLED: "–",
    AttemptStatus.LOST: "△",
}


def utc(at: float) -> str:
    """A time to the second, in UTC: `2021-10-19 08:15:30`."""
    return dt.datetime.fromtimestamp(at, dt.UTC).strftime("%Y-%m-%d %H:%M:%S")


def day(date: dt.date) -> str:
    """A date with its weekday: `Tuesday, 19 October 2021`."""
    return f"{date:%A}, {date.day} {date:%B %Y}"


def pluralize(n: float, noun: str) -> str:
    """`1 date`, `5,000 dates`."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def symbol(result: str) -> str:
    """The symbol of an attempt's status with its exit code."""
    return _SYMBOLS.get(result, "✗")


def words(name: str) -> str:
    """A value of the API as words: `not expected` for `not_expected`."""
    return name.replace("_", " ")


FILTERS: Mapping[str, Callable[..., Any]] = {
    "counts": format_counts,
    "day": day,
    "duration": format_duration,
    "format_bytes": format_bytes,
    "iso": iso,
    "pluralize": pluralize,
    "result": attempt_result,
    "symbol": symbol,
    "total_duration": format_total_duration,
    "utc": utc,
    "words": words,
}
