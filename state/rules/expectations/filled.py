"""`filled`: columns that may be empty in a share of the rows only."""

from __future__ import annotations

from pydantic import Field

from backfilld.state.formatting import pluralize
from backfilld.state.pipeline.field_types import Column
from backfilld.state.pipeline.strict_model import StrictModel
from backfilld.state.rules.evidence import Evidence
from backfilld.state.rules.expectations.aggregate_types import Aggregate, EmptyValues
from backfilld.state.rules.expectations.rule import Finding, Rule, as_written
from backfilld.state.rules.season_calendar import Day
from backfilld.state.rules.verdict import Verdict


class Filled(StrictModel, Rule):
    """Columns that may be empty in at most `share` of the rows: NULL, NaN, a blank text or zero."""

    columns: tuple[Column, ...] = Field(min_length=1, strict=False)
    """Their names."""
    share: float = Field(default=0.0, ge=0, lt=1)
    """The share of rows that may be empty."""
    zero_is_empty: bool = True
    """Whether 0 is empty: `false` where 0 is a value like any other."""

    def column_names(self) -> tuple[str, ...]:
        return self.columns

    def aggregates(self) -> tuple[Aggregate, ...]:
        return tuple(EmptyValues(column, self.zero_is_empty) for column in self.columns)

    def check(self, evidence: Evidence, day: Day) -> Finding | None:
        rows, limit = evidence.rows, as_written(self.share) * evidence.rows
        for column in self.columns:
            empty = evidence.empty_counts[column]
            if empty > limit:
                found = f"{column} is empty in {empty} of {pluralize(rows, 'row')}"
                return Verdict.DEGRADED, f"{found}, at most {100 * self.share:g} % may"
        return None
