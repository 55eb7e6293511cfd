"""Filters of the templates. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any

from backfilld.api.formatting import format_bytes, format_duration, format_total_duration
from backfilld.api.schemas.fields import iso
from backfilld.state.records import AttemptStatus

_SYMBOLS: Mapping[str, str] = {
    AttemptStatus.RUNNING: "▷",
    AttemptStatus.SUCCEEDED: "✓",
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


def symbol(status: str) -> str:
    """The symbol of an attempt's status."""
    return _SYMBOLS.get(status, "✗")


def words(name: str) -> str:
    """A value of the API as words: `not expected` for `not_expected`."""
    return name.replace("_", " ")


FILTERS: Mapping[str, Callable[..., Any]] = {
    "utc": utc,
    "day": day,
    "iso": iso,
    "pluralize": pluralize,
    "symbol": symbol,
    "words": words,
    "format_bytes": format_bytes,
    "total_duration": format_total_duration,
    "duration": format_duration,
}
