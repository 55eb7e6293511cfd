"""What every rule can say. A rule states what it needs and leaves the rest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

from backfilld.state.pipeline.base_warehouse_settings import SqlKind
from backfilld.state.rules.evidence import Evidence
from backfilld.state.rules.expectations.aggregate_types import Aggregate
from backfilld.state.rules.season_calendar import Day
from backfilld.state.rules.verdict import Verdict

Finding = tuple[Verdict, str]
"""A verdict, and the sentence that explains it."""


@dataclass(frozen=True, slots=True)
class Range:
    """Allowed numbers of rows, both ends included; `most` None means no upper limit."""

    least: int
    most: int | None

    def __str__(self) -> str:
        if self.most is None:
            return f"at least {self.least}"
        return str(self.least) if self.least == self.most else f"{self.least} to {self.most}"

    def narrowed(self, other: Range) -> Range:
        """The range that both this one and the other allow."""
        mosts = [bound for bound in (self.most, other.most) if bound is not None]
        return Range(max(self.least, other.least), min(mosts) if mosts else None)


class Rule:
    """A rule of the pipeline file about the rows of one processor for one date. Pure."""

    sql_kind: ClassVar[SqlKind] = "condition"
    """What its `sql_texts` are."""

    def column_names(self) -> tuple[str, ...]:
        """The columns of the table that it names."""
        return ()

    def count_names(self) -> tuple[str, ...]:
        """The counts of the calendar that it needs."""
        return ()

    def aggregates(self) -> tuple[Aggregate, ...]:
        """The figures that it needs of a date that has rows."""
        return ()

    def compared_with(self) -> str | None:
        """The processor that it compares with; None where it compares with none."""
        return None

    def days_compared(self) -> int:
        """How many days before a date it compares with; 0 where it compares with none."""
        return 0

    def sql_texts(self) -> Mapping[str, str]:
        """The SQL of the pipeline file in it, by key; an empty key is the rule's own."""
        return {}

    def uncounted(self, evidence: Evidence) -> str:
        """The figure that it needs of a date with rows and that is absent; empty where it can be judged."""
        absent = [aggregate for aggregate in self.aggregates() if evidence.figure(aggregate) is None]
        return f"{absent[0]} were not counted" if absent else ""

    def ranges(self, day: Day, reference: int | None) -> Iterator[Range]:
        """The numbers of rows that it allows, beside a table with `reference` rows."""
        yield from ()

    def check(self, evidence: Evidence, day: Day) -> Finding | None:
        """What is wrong with rows of an allowed number; None where the rule holds.

        The evidence has at least one row and every figure of `aggregates`, the day every count.
        """
        return None

    def check_empty(self, evidence: Evidence, day: Day) -> Finding | None:
        """What is wrong with a partition that exists and has no rows; None where the rule accepts it."""
        return None

    def unjudged(self, evidence: Evidence, day: Day) -> str:
        """Why the rule says nothing of these rows; empty where it was judged."""
        return ""


class RowBound(Rule):
    """A rule that bounds the number of rows. A ramp replaces such rules in a season's first days."""


def as_written(share: float) -> Fraction:
    """The decimal of the file, exactly: with floats, 0.55 of 100 rows would need 56."""
    return Fraction(str(share))
