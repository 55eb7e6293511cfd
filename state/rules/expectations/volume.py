"""`volume`: rows relative to the median of the complete dates before."""

from __future__ import annotations

import datetime as dt
import math
import statistics
from fractions import Fraction
from typing import Self

from pydantic import Field, model_validator

from backfilld.state.formatting import pluralize
from backfilld.state.pipeline.fields import Column, check_order
from backfilld.state.pipeline.strict_model import StrictModel
from backfilld.state.rules.calendar import Day
from backfilld.state.rules.evidence import Evidence
from backfilld.state.rules.expectations.rule import Finding, RowBound, as_written
from backfilld.state.rules.verdict import Verdict


class Volume(StrictModel, RowBound):
    """Rows relative to the median of the dates before that were judged complete."""

    days_back: int = Field(default=28, ge=1, le=366)
    """How many days before the date are compared with."""
    min_days: int = Field(default=7, ge=1, le=366)
    """With fewer complete dates among them the rule is not judged, and the verdict says so."""
    per: Column | None = None
    """A count of the calendar that rows are divided by, such as `games`."""
    min: float = Field(default=0.0, ge=0)
    """Least rows, as a multiple of the median."""
    max: float | None = Field(default=None, gt=0)
    """Most rows, as a multiple of the median."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        check_order((self.min, self.max))
        if not self.min and self.max is None:
            raise ValueError("bounds nothing; write min, max or both")
        if self.min_days > self.days_back:
            raise ValueError(f"min_days {self.min_days} is above days_back {self.days_back}")
        return self

    def count_names(self) -> tuple[str, ...]:
        return (self.per,) if self.per else ()

    def window(self, date: dt.date) -> tuple[dt.date, dt.date]:
        """The first and the last date that a date is compared with."""
        number = date.toordinal()
        return dt.date.fromordinal(max(number - self.days_back, 1)), dt.date.fromordinal(max(number - 1, 1))

    def check(self, evidence: Evidence, day: Day) -> Finding | None:
        """Too few rows are `partial`, too many are `excess`."""
        rates = self._rates(evidence, day)
        if len(rates) < self.min_days:
            return None
        median = statistics.median(rates)
        usual = median * (day.counts[self.per] if self.per else 1)
        per = f" per {self.per}" if self.per else ""
        basis = f"the median of {float(median):g} rows{per} on {len(rates)} complete dates before"
        least = math.ceil(as_written(self.min) * usual)
        if evidence.rows < least:
            return Verdict.PARTIAL, f"{evidence.rows} rows, at least {least}: {self.min:g} times {basis}"
        most = None if self.max is None else math.floor(as_written(self.max) * usual)
        if most is not None and evidence.rows > most:
            return Verdict.EXCESS, f"{evidence.rows} rows, at most {most}: {self.max:g} times {basis}"
        return None

    def unjudged(self, evidence: Evidence, day: Day) -> str:
        known = len(self._rates(evidence, day))
        if known >= self.min_days:
            return ""
        found = f"{pluralize(known, 'complete date')} in the {pluralize(self.days_back, 'day')} before"
        return f"volume not judged: {found}, at least {self.min_days} needed"

    def _rates(self, evidence: Evidence, day: Day) -> list[Fraction]:
        """Rows, or rows for each of the count, of the dates that it compares with."""
        first, last = self.window(day.date)
        dates = [
            other
            for other in evidence.earlier
            if first <= other.date <= last and other.date < day.date and other.rows > 0
        ]
        if self.per is None:
            return [Fraction(other.rows) for other in dates]
        counted = [(other.rows, other.counts.get(self.per, 0)) for other in dates]
        return [Fraction(rows, count) for rows, count in counted if count > 0]
