"""`unique`: columns whose values together name a row, so that no two rows of a date share them."""

from __future__ import annotations

from pydantic import Field

from backfilld.state.pipeline.field_types import Column
from backfilld.state.pipeline.strict_model import StrictModel
from backfilld.state.rules.evidence import Evidence
from backfilld.state.rules.expectations.aggregate_types import Aggregate, DistinctKeys
from backfilld.state.rules.expectations.rule import Finding, Rule, as_written
from backfilld.state.rules.season_calendar import Day
from backfilld.state.rules.verdict import Verdict


class Unique(StrictModel, Rule):
    """`unique = { columns = ["game_id", "team_abbr"] }`: a key that no two rows of a date share."""

    columns: tuple[Column, ...] = Field(min_length=1, strict=False)
    """The columns of the key. NULL is a value like any other: two rows with NULL in all of them repeat."""
    share: float = Field(default=0.0, ge=0, lt=1)
    """The share of rows that may repeat the key of another row."""

    def column_names(self) -> tuple[str, ...]:
        return self.columns

    def aggregates(self) -> tuple[Aggregate, ...]:
        return (DistinctKeys(self.columns),)

    def check(self, evidence: Evidence, day: Day) -> Finding | None:
        """Repeated keys are `excess`: rows that should not be there."""
        repeated = evidence.rows - (evidence.distinct_keys or 0)
        if repeated <= as_written(self.share) * evidence.rows:
            return None
        limit = f", at most {100 * self.share:g} % may" if self.share else ""
        key = ", ".join(self.columns)
        return Verdict.EXCESS, f"{repeated} of {evidence.rows} rows repeat the key ({key}) of another{limit}"
