"""Checks of ranges of dates, and of contradictions, in requests."""

from __future__ import annotations

import datetime as dt

from backfilld.api.schemas.field_types import fault
from backfilld.daemon.engine.enqueue_models import MOST_DATES


def refuse_reversed(start: dt.date | None, end: dt.date | None) -> None:
    """Raises a fault of `end` where it is before `start`."""
    if start is not None and end is not None and end < start:
        raise fault("end", f"{end} is before start {start}")


def refuse_wide(field: str, first: dt.date, last: dt.date) -> None:
    """Raises a fault of `field` where the range has more than MOST_DATES days."""
    days = (last - first).days + 1
    if days > MOST_DATES:
        raise fault(field, f"{first} to {last} is {days} days; one request takes at most {MOST_DATES}")


def refuse_list_and_range(dates: object, start: dt.date | None, end: dt.date | None) -> None:
    """Raises a fault of `dates` where a list is given beside a range."""
    if dates is not None and (start is not None or end is not None):
        raise fault("dates", "excludes start and end; give either dates or a range")


def refuse_contradiction(field: str, stated: bool, **others: object) -> None:
    """Raises a fault of `field` where it is stated with one of the other ones."""
    for name in [name for name, value in others.items() if stated and value]:
        raise fault(field, f"excludes {name}; leave one of them out")
