"""`volume`: rows relative to the median of the complete dates before."""

from __future__ import annotations

import math
import statistics
from fractions import Fraction

from backfilld.state.formatting import pluralize
from backfilld.state.rules.evidence import Evidence
from backfilld.state.rules.expectations.earlier_dates import MedianBounds
from backfilld.state.rules.expectations.rule import Finding, RowBound, as_written
from backfilld.state.rules.season_calendar import Day
from backfilld.state.rules.verdict import Verdict


class Volume(MedianBounds, RowBound):
    """Rows relative to the median of the dates before that were judged complete."""

    def count_names(self) -> tuple[str, ...]:
        return (self.per,) if self.per else ()

    def days_compared(self) -> int:
        return self.days_back

    def check(self, evidence: Evidence, day: Day) -> Finding | None:
        """Too few rows are `partial`, too many are `excess`."""
        rates = self._rates(evidence, day)
        if len(rates) < self.min_days:
            return None
        median = statistics.median(rates)
        usual = median * self.divisor(day.counts)
        per = f" per {self.per}" if self.per else ""
        noun = "row" if median == 1 else "rows"
        before = pluralize(len(rates), "complete date")
        basis = f"the median of {float(median):g} {noun}{per} on {before} before"
        rows = pluralize(evidence.rows, "row")
        least = math.ceil(as_written(self.min) * usual)
        if evidence.rows < least:
            return Verdict.PARTIAL, f"{rows}, at least {least}: {self.min:g} times {basis}"
        most = None if self.max is None else math.floor(as_written(self.max) * usual)
        if most is not None and evidence.rows > most:
            return Verdict.EXCESS, f"{rows}, at most {most}: {self.max:g} times {basis}"
        return None

    def unjudged(self, evidence: Evidence, day: Day) -> str:
        because = self.too_few(len(self._rates(evidence, day)))
        return f"volume not judged: {because}" if because else ""

    def _rates(self, evidence: Evidence, day: Day) -> list[Fraction]:
        """Rows, or rows for each of the count, of the dates that it compares with."""
        dates = self.complete_dates(evidence, day.date)
        return [Fraction(other.rows, self.divisor(other.counts)) for other in dates]
