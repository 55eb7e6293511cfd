"""Periods: the weeks and months whose dates one attempt computes together. Pure.

The attempt starts once each expected date of the period is ready or needs no job. A date that is neither
keeps the others back, unless it had its attempts and has none left: then the others go on without it.
"""

from __future__ import annotations

import calendar
import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Period = Literal["week", "month"]
MOST_DATES: dict[Period, int] = {"week": 7, "month": 31}
"""How many dates a period has at most."""


def period_bounds(period: Period, date: dt.date) -> tuple[dt.date, dt.date]:
    """The first and the last date of the week (Monday to Sunday) or month of a date."""
    if period == "month":
        days = calendar.monthrange(date.year, date.month)[1]
        return date.replace(day=1), date.replace(day=days)
    monday = date.toordinal() - date.weekday()
    last = min(monday + 6, dt.date.max.toordinal())
    return dt.date.fromordinal(max(monday, 1)), dt.date.fromordinal(last)


def period_title(period: Period, date: dt.date) -> str:
    """The period of a date as people call it: `November 2021`, `the week of 2021-11-15`."""
    first = period_bounds(period, date)[0]
    return f"{first:%B %Y}" if period == "month" else f"the week of {first}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodDate:
    """One expected date of a period, as far as the processor is concerned."""

    date: dt.date
    satisfied: bool
    """Its output is complete, waived or accepted: no job is needed."""
    ready: bool
    """Its job could start now."""
    used_up: bool
    """It had attempts for this request, and none is left."""


@dataclass(frozen=True, slots=True)
class PeriodStatus:
    """What one attempt for a period would take, and what keeps it back. Dates are in ascending order."""

    expected: tuple[dt.date, ...]
    ready: tuple[dt.date, ...]
    waits_for: tuple[dt.date, ...]
    """The expected dates that need a job which cannot start yet."""
    ends_on: dt.date | None
    """The last date that the calendar may still come to expect; None where the period is over."""

    @property
    def may_start(self) -> bool:
        """Whether the attempt may start."""
        return bool(self.ready) and not self.waits_for and self.ends_on is None


def period_status(members: Iterable[PeriodDate], undecided: Iterable[dt.date] = ()) -> PeriodStatus:
    """The status of a period by its expected dates.

    `undecided` are the dates that the calendar does not expect, and may still come to expect, because they
    are not over.
    """
    by_date = sorted(members, key=lambda member: member.date)
    return PeriodStatus(
        expected=tuple(member.date for member in by_date),
        ready=tuple(member.date for member in by_date if member.ready),
        waits_for=tuple(m.date for m in by_date if not (m.satisfied or m.ready or m.used_up)),
        ends_on=max(undecided, default=None),
    )
