"""The complete dates that rules compare a date with, and the rule's keys that say which. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Self

from pydantic import Field, model_validator

from backfilld.state.formatting import pluralize
from backfilld.state.pipeline.field_types import Column, check_order
from backfilld.state.pipeline.strict_model import StrictModel
from backfilld.state.rules.evidence import EarlierDate, Evidence


class MedianBounds(StrictModel):
    """Bounds relative to the median of the complete dates before."""

    days_back: int = Field(default=28, ge=1, le=366)
    """How many days before the date are compared with."""
    min_days: int = Field(default=7, ge=1, le=366)
    """With fewer complete dates among them the rule is not judged, and the verdict says so."""
    per: Column | None = None
    """A count of the calendar to divide by, such as `games`."""
    min: float = Field(default=0.0, ge=0)
    """The least, as a multiple of the median."""
    max: float | None = Field(default=None, gt=0)
    """The most, as a multiple of the median."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        check_order((self.min, self.max))
        if not self.min and self.max is None:
            raise ValueError("bounds nothing; write min, max or both")
        if self.min_days > self.days_back:
            raise ValueError(f"min_days {self.min_days} is above days_back {self.days_back}")
        return self

    def complete_dates(self, evidence: Evidence, date: dt.date) -> list[EarlierDate]:
        """The complete dates of the window that have rows, and a count where one is divided by."""
        first, last = window(date, self.days_back)
        within = [other for other in evidence.earlier if first <= other.date <= last and other.date < date]
        return [other for other in within if other.rows > 0 and self.divisor(other.counts) > 0]

    def divisor(self, counts: Mapping[str, int]) -> int:
        """The count of a date that is divided by; 1 without one, 0 where the calendar does not say."""
        return counts.get(self.per, 0) if self.per else 1

    def too_few(self, known: int, which: str = "") -> str:
        """Why so many complete dates are not enough; empty where they are. `which` says more of them."""
        if known >= self.min_days:
            return ""
        found = f"{pluralize(known, 'complete date')}{which} in the {pluralize(self.days_back, 'day')} before"
        return f"{found}, at least {self.min_days} needed"


def window(date: dt.date, days_back: int) -> tuple[dt.date, dt.date]:
    """The first and the last of the days before a date."""
    number = date.toordinal()
    return dt.date.fromordinal(max(number - days_back, 1)), dt.date.fromordinal(max(number - 1, 1))
