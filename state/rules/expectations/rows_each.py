"""`rows_each`: how many rows each group of a date has, such as two for each game."""

from __future__ import annotations

from pydantic import Field

from backfilld.state.pipeline.field_types import Bounds, Column
from backfilld.state.pipeline.strict_model import StrictModel
from backfilld.state.rules.evidence import Evidence
from backfilld.state.rules.expectations.aggregate_types import GroupSizes
from backfilld.state.rules.expectations.rule import Finding, Rule
from backfilld.state.rules.season_calendar import Day
from backfilld.state.rules.verdict import Verdict


class RowsEach(StrictModel, Rule):
    """`rows_each = { group_by = ["game_id"], rows = [2, 2] }`. It takes one more SELECT of the table."""

    group_by: tuple[Column, ...] = Field(min_length=1, strict=False)
    """The columns whose values make a group. NULL is a value like any other."""
    rows: Bounds
    """`[min]` or `[min, max]` rows of each group."""

    def column_names(self) -> tuple[str, ...]:
        return self.group_by

    @property
    def sizes(self) -> GroupSizes:
        """The figures that it needs of the groups."""
        return GroupSizes(self.group_by, *self.rows)

    def uncounted(self, evidence: Evidence) -> str:
        return "" if evidence.groups else "the groups of rows_each were not counted"

    def check(self, evidence: Evidence, day: Day) -> Finding | None:
        """A group that is too small is `partial`, one that is too large is `excess`."""
        counts = evidence.groups
        if counts is None:
            return None
        least, most = self.rows
        of = f"of {counts.groups} groups by {', '.join(self.group_by)}"
        if counts.too_small:
            found = f"the smallest has {counts.smallest}, at least {least}"
            return Verdict.PARTIAL, f"{counts.too_small} {of} have too few rows: {found}"
        if counts.too_large:
            found = f"the largest has {counts.largest}, at most {most}"
            return Verdict.EXCESS, f"{counts.too_large} {of} have too many rows: {found}"
        return None
