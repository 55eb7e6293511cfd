"""Days by name: the dates on which a processor has output, such as each Monday. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

from backfilld.state.rules.dates_between import dates_between
from backfilld.state.rules.periods import Period, period_bounds
from backfilld.state.rules.season_calendar import Day

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEKDAYS: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class OutputDays(Protocol):
    """The dates on which a processor has output."""

    def doubt(self, day: Day) -> str:
        """Why it is not known whether a day is one of them; empty where it is known."""

    def exclusion(self, day: Day) -> str:
        """Why a day is not one of them; empty where it is, or where that is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecurringDays:
    """The dates that meet every stated condition. `first_of` and `last_of` choose among those of a period."""

    name: str
    weekdays: frozenset[Weekday] = frozenset(WEEKDAYS)
    business: bool = False
    """Monday to Friday without `holidays`."""
    holidays: frozenset[dt.date] = frozenset()
    dates: frozenset[dt.date] | None = None
    count: str = ""
    """A count of the calendar that is above 0; empty where none matters."""
    queried: bool = False
    """Whether a query must name the date."""
    first_of: Period | None = None
    last_of: Period | None = None

    @property
    def answered(self) -> bool:
        """Whether the warehouse says which dates are in the set, and not the pipeline file alone."""
        return self.queried or bool(self.count)

    def doubt(self, day: Day) -> str:
        """Why it is not known whether a day is in the set; empty where it is known."""
        unknown = self.queried and self.name not in day.named_days
        return f"the query of the days '{self.name}' has not been answered for this date" if unknown else ""

    def exclusion(self, day: Day) -> str:
        """Why a day is not in the set; empty where it is, or where that is not known."""
        if self.queried and not day.named_days.get(self.name, True):
            return f"not one of the days '{self.name}', which a query names"
        if self.count and not day.counts.get(self.count, 0):
            return f"not one of the days '{self.name}': no {self.count} on this date"
        if self._is_candidate(day.date) and self._is_chosen(day.date):
            return ""
        holiday = ", one of its holidays" if day.date in self.holidays else ""
        return f"not one of the days '{self.name}': {_named(day.date)}{holiday}"

    def _is_candidate(self, date: dt.date) -> bool:
        if date in self.holidays or (self.business and date.weekday() > 4):
            return False
        return WEEKDAYS[date.weekday()] in self.weekdays and (self.dates is None or date in self.dates)

    def _is_chosen(self, date: dt.date) -> bool:
        """Whether it is the first and the last candidate of its periods, where that is stated."""
        earlier = (other for other in _period(date, self.first_of) if other < date)
        later = (other for other in _period(date, self.last_of) if other > date)
        return not any(self._is_candidate(other) for other in (*earlier, *later))


def _period(date: dt.date, period: Period | None) -> Iterator[dt.date]:
    """The dates of the same week or month; the date alone without a period."""
    return dates_between(*(period_bounds(period, date) if period else (date, date)))


def _named(date: dt.date) -> str:
    return f"{date} is a {date:%A}"
