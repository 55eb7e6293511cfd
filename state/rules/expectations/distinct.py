"""`distinct`: how many different values a column has, for each thing that the calendar counts."""

from __future__ import annotations

from pydantic import ConfigDict, Field, RootModel

from backfilld.state.formatting import format_counts
from backfilld.state.pipeline.field_types import Bounds, Column
from backfilld.state.pipeline.strict_model import StrictModel
from backfilld.state.rules.evidence import Evidence
from backfilld.state.rules.expectations.aggregate_types import Aggregate, DistinctValues
from backfilld.state.rules.expectations.rows import scaled
from backfilld.state.rules.expectations.rule import Finding, Rule
from backfilld.state.rules.season_calendar import Day
from backfilld.state.rules.verdict import Verdict


class DistinctColumn(StrictModel):
    """How many different values one column has."""

    column: Column
    """The column whose distinct values are counted."""
    per: Column
    """A count of the calendar, such as `games`."""
    count: Bounds = (1, 1)
    """`[min]` or `[min, max]` distinct values for each of the count."""

    def check(self, evidence: Evidence, day: Day) -> Finding | None:
        """Too few values are `partial`, too many are `excess`."""
        found, allowed = evidence.distinct[self.column], scaled(*self.count, day.counts[self.per])
        limits = f"for {format_counts({self.per: day.counts[self.per]})}"
        if found < allowed.least:
            return Verdict.PARTIAL, f"{found} distinct {self.column}, at least {allowed.least} {limits}"
        if allowed.most is not None and found > allowed.most:
            return Verdict.EXCESS, f"{found} distinct {self.column}, at most {allowed.most} {limits}"
        return None


class Distinct(RootModel[tuple[DistinctColumn, ...]], Rule):
    """`distinct = [{ column = "game_id", per = "games", count = [1, 1] }]`."""

    model_config = ConfigDict(frozen=True, strict=True)

    root: tuple[DistinctColumn, ...] = Field(min_length=1, strict=False)

    def column_names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(entry.column for entry in self.root))

    def count_names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(entry.per for entry in self.root))

    def aggregates(self) -> tuple[Aggregate, ...]:
        return tuple(DistinctValues(column) for column in self.column_names())

    def check(self, evidence: Evidence, day: Day) -> Finding | None:
        findings = (entry.check(evidence, day) for entry in self.root)
        return next((finding for finding in findings if finding), None)
