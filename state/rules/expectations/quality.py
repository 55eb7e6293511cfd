"""`quality`: a SQL predicate that enough rows must hold."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from backfilld.state.formatting import pluralize
from backfilld.state.pipeline.field_types import Share
from backfilld.state.pipeline.strict_model import StrictModel
from backfilld.state.rules.evidence import Evidence
from backfilld.state.rules.expectations.aggregate_types import Aggregate, PassingRows
from backfilld.state.rules.expectations.rule import Finding, Rule, as_written
from backfilld.state.rules.season_calendar import Day
from backfilld.state.rules.verdict import Verdict


class Quality(StrictModel, Rule):
    """A SQL predicate that at least `share` of the rows must hold."""

    where: str = Field(min_length=1)
    """A condition on a row, in the dialect of the warehouse."""
    share: Share = 1.0
    """The share of rows that must hold it."""

    def aggregates(self) -> tuple[Aggregate, ...]:
        return (PassingRows(self.where),)

    def sql_texts(self) -> Mapping[str, str]:
        return {"where": self.where}

    def check(self, evidence: Evidence, day: Day) -> Finding | None:
        passing, rows = evidence.passing_rows or 0, evidence.rows
        if passing >= as_written(self.share) * rows:
            return None
        found = f"{passing} of {pluralize(rows, 'row')} ({100 * passing / rows:.1f} %)"
        least = f"{100 * self.share:g} %"
        return Verdict.DEGRADED, f"{found} hold {self.where}, at least {least} must"
