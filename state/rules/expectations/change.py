"""`change`: a measure of the rows, such as a sum, relative to its median on the complete dates before."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from fractions import Fraction
from typing import ClassVar

from pydantic import ConfigDict, Field, RootModel

from backfilld.state.pipeline.base_warehouse_settings import SqlKind
from backfilld.state.rules.evidence import Evidence
from backfilld.state.rules.expectations.earlier_dates import MedianBounds
from backfilld.state.rules.expectations.rule import Finding, Rule, as_written
from backfilld.state.rules.season_calendar import Day
from backfilld.state.rules.verdict import Verdict


class Measure(MedianBounds):
    """A measure relative to its median on the dates before that were judged complete."""

    of: str = Field(min_length=1)
    """An aggregate over the rows of a date, such as `SUM(amount)`, in the dialect of the warehouse."""

    def check(self, evidence: Evidence, day: Day) -> Finding | None:
        """A measure out of bounds, and one that is no number, are `degraded`."""
        rates = self.rates(evidence, day)
        if len(rates) < self.min_days:
            return None
        value = evidence.measures[self.of]
        if value is None or not math.isfinite(value):
            return Verdict.DEGRADED, f"{self.of} is {'NULL' if value is None else value}"
        median = statistics.median(rates)
        usual = median * self.divisor(day.counts)
        if not usual:
            return None
        ratio = Fraction(value) / usual
        per = f" per {self.per}" if self.per else ""
        found = f"{self.of} is {value:g}, {float(ratio):.3g} times the median of {float(median):g}{per}"
        basis = f"on {len(rates)} complete dates before"
        if ratio < as_written(self.min):
            return Verdict.DEGRADED, f"{found} {basis}, at least {self.min:g}"
        if self.max is not None and ratio > as_written(self.max):
            return Verdict.DEGRADED, f"{found} {basis}, at most {self.max:g}"
        return None

    def unjudged(self, evidence: Evidence, day: Day) -> str:
        """Why the measure says nothing; empty where it was judged."""
        rates = self.rates(evidence, day)
        complete = len(self.complete_dates(evidence, day.date))
        because = self.too_few(complete) or self.too_few(len(rates), f" with a number, of {complete}")
        if not because and not statistics.median(rates) * self.divisor(day.counts):
            because = "its median is 0"
        return f"change of {self.of} not judged: {because}" if because else ""

    def rates(self, evidence: Evidence, day: Day) -> list[Fraction]:
        """The measure, or the measure for each of the count, of the dates on which it is a number."""
        rates: list[Fraction] = []
        for other in self.complete_dates(evidence, day.date):
            value = evidence.measures_before.get(other.date, {}).get(self.of)
            if value is not None and math.isfinite(value):
                rates.append(Fraction(value) / self.divisor(other.counts))
        return rates


class Change(RootModel[tuple[Measure, ...]], Rule):
    """`change = [{ of = "SUM(amount)", per = "shops", days_back = 28, min = 0.5, max = 2.0 }]`."""

    model_config = ConfigDict(frozen=True, strict=True)
    sql_kind: ClassVar[SqlKind] = "measure"

    root: tuple[Measure, ...] = Field(min_length=1, strict=False)

    @property
    def measures(self) -> tuple[str, ...]:
        """The measures, each once."""
        return tuple(dict.fromkeys(measure.of for measure in self.root))

    def count_names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(measure.per for measure in self.root if measure.per))

    def days_compared(self) -> int:
        return max(measure.days_back for measure in self.root)

    def sql_texts(self) -> Mapping[str, str]:
        return {f"[{number}].of": measure.of for number, measure in enumerate(self.root)}

    def uncounted(self, evidence: Evidence) -> str:
        absent = [of for of in self.measures if of not in evidence.measures]
        return f"{absent[0]} was not counted" if absent else ""

    def check(self, evidence: Evidence, day: Day) -> Finding | None:
        findings = (measure.check(evidence, day) for measure in self.root)
        return next((finding for finding in findings if finding), None)

    def unjudged(self, evidence: Evidence, day: Day) -> str:
        return "; ".join(filter(None, (measure.unjudged(evidence, day) for measure in self.root)))
