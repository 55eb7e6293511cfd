"""Filters of the templates. Pure."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping
from typing import Any
from zoneinfo import ZoneInfo

from backfilld.api.formatting import (
    format_attempt_result,
    format_bytes,
    format_total_duration,
)
from backfilld.api.schemas.field_types import iso
from backfilld.api.schemas.responses import Attempt
from backfilld.state.formatting import format_counts, format_date_ranges, format_duration
from backfilld.state.records import AttemptStatus

_SYMBOLS: Mapping[str, str] = {
    AttemptStatus.RUNNING: "▷",
    AttemptStatus.EXITED: "△",
    AttemptStatus.CANCELLED: "–",
    AttemptStatus.LOST: "△",
}


def utc(at: float) -> str:
    """A time to the second, in UTC: `2021-10-19 08:15:30 UTC`."""
    return dt.datetime.fromtimestamp(at, dt.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def day(date: dt.date) -> str:
    """A date with its weekday: `Tuesday, 19 October 2021`."""
    return f"{date:%A}, {date.day} {date:%B %Y}"


def grouped(text: str) -> str:
    """A text with commas in its large numbers: `3,600 to 10,800`."""
    return re.sub(r"\d{4,}", lambda number: f"{int(number[0]):,}", text)


def pluralize(n: float, noun: str) -> str:
    """`1 date`, `5,000 dates`."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def symbol(attempt: Attempt) -> str:
    """The symbol of the verdict that followed an attempt; before there is one, that of its status."""
    if attempt.verdict is not None:
        return attempt.verdict.symbol
    return "✗" if attempt.exit_code else _SYMBOLS.get(attempt.status, "✗")


def attempt_class(attempt: Attempt) -> str:
    """The CSS class of an attempt: the colour of its verdict, else of its status."""
    if attempt.verdict is not None:
        return f"v-{attempt.verdict}"
    return "v-unknown" if attempt.exit_code == 0 else f"s-{attempt.status}"


def result(attempt: Attempt) -> str:
    """How the job ended, and what it left: `exit 0 · 2 of 14 rows`."""
    return format_attempt_result(attempt.status, attempt.exit_code, attempt.verdict, attempt.verdict_reason)


def in_zone(at: float, timezone: str) -> str:
    """A time in a time zone: `04:15:30 EDT`; with its date where that is not the date in UTC."""
    there = dt.datetime.fromtimestamp(at, ZoneInfo(timezone))
    same = there.date() == dt.datetime.fromtimestamp(at, dt.UTC).date()
    return there.strftime("%H:%M:%S %Z" if same else "%Y-%m-%d %H:%M:%S %Z")


def words(name: str) -> str:
    """A value of the API as words: `not expected` for `not_expected`."""
    return name.replace("_", " ")


FILTERS: Mapping[str, Callable[..., Any]] = {
    "attempt_class": attempt_class,
    "counts": format_counts,
    "day": day,
    "duration": format_duration,
    "format_bytes": format_bytes,
    "grouped": grouped,
    "in_zone": in_zone,
    "iso": iso,
    "pluralize": pluralize,
    "ranges": format_date_ranges,
    "result": result,
    "symbol": symbol,
    "total_duration": format_total_duration,
    "utc": utc,
    "words": words,
}
