"""Dates as names of directories and values of partitions."""

from __future__ import annotations

import datetime as dt
import re

_DATE = re.compile(r"(\d{4})-?(\d{2})-?(\d{2})([ T]00:00(:00(\.0+)?)?(Z|\+00:?00)?)?")


def date_of(text: str) -> dt.date | None:
    """The date of a directory's value: `2024-03-01`, `20240301` or a midnight; None for all else."""
    match = _DATE.fullmatch(text)
    return date_or_none(*map(int, match.group(1, 2, 3))) if match else None


def date_or_none(year: int, month: int, day: int) -> dt.date | None:
    """The date; None where there is none, such as February 30."""
    try:
        return dt.date(year, month, day)
    except ValueError:
        return None
