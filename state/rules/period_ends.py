"""Outputs of a whole week or month that are written with its last date, such as a monthly report. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from backfilld.state.rules.dates_between import dates_between
from backfilld.state.rules.periods import Period, period_bounds, period_title
from backfilld.state.rules.season_calendar import Day

_PERIODS_KEPT = 1000
"""Weeks or months whose dates are kept in memory: ten years of weeks, and the ends of it."""


@dataclass(frozen=True, kw_only=True)
class PeriodEnds:
    """The last date of each period on which a processor may have output."""

    period: Period
    may_have_output: Callable[[dt.date], bool]
    """Whether a date belongs to its period, by the pipeline file alone."""

    def dates(self, date: dt.date) -> Sequence[dt.date]:
        """The dates of the period of a date that belong to it, in ascending order."""
        return self._dates(period_bounds(self.period, date))

    def doubt(self, _: Day) -> str:
        """Why it is not known whether a day is such a date: the pipeline file alone says so."""
        return ""

    def exclusion(self, day: Day) -> str:
        """Why a day is not the last date of its period; empty where it is."""
        of_period, title = self.dates(day.date), period_title(self.period, day.date)
        if not of_period:
            return f"no date of {title} has output"
        return "" if of_period[-1] == day.date else f"the output for {title} is that of {of_period[-1]}"

    @cached_property
    def _dates(self) -> Callable[[tuple[dt.date, dt.date]], Sequence[dt.date]]:
        @lru_cache(maxsize=_PERIODS_KEPT)
        def of_bounds(bounds: tuple[dt.date, dt.date]) -> Sequence[dt.date]:
            return tuple(filter(self.may_have_output, dates_between(*bounds)))

        return of_bounds
