"""What a processor's output of one date must look like to count as complete.

Every rule is optional and all that are stated must hold. Without any, one row is enough.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from functools import cached_property
from typing import Literal

from pydantic import Field

from backfilld.state.pipeline.strict_model import StrictModel
from backfilld.state.rules.evidence import Evidence
from backfilld.state.rules.expectations.aggregate_types import Aggregate
from backfilld.state.rules.expectations.change import Change
from backfilld.state.rules.expectations.check_command import CommandCheck
from backfilld.state.rules.expectations.distinct import Distinct
from backfilld.state.rules.expectations.filled import Filled
from backfilld.state.rules.expectations.keys import Keys
from backfilld.state.rules.expectations.no_rows import NoRows
from backfilld.state.rules.expectations.quality import Quality
from backfilld.state.rules.expectations.ramp import Ramp
from backfilld.state.rules.expectations.ratio import Ratio
from backfilld.state.rules.expectations.rows import Rows, RowsPer
from backfilld.state.rules.expectations.rows_each import RowsEach
from backfilld.state.rules.expectations.rule import Range, RowBound, Rule
from backfilld.state.rules.expectations.unique import Unique
from backfilld.state.rules.expectations.volume import Volume
from backfilld.state.rules.season_calendar import Day

_ABOUT_ROWS = ("rows", "rows_per", "ramp", "empty", "bootstrap_days")
"""The keys for which the number of rows is all that has to be known of a date that has rows."""


class Expectation(StrictModel):
    """All that is expected of one processor's rows for one date. A field that holds a `Rule` is a rule."""

    rows: Rows | None = None
    """`[min]` or `[min, max]`."""
    rows_per: RowsPer | None = None
    """`[min]` or `[min, max]` for each of a count of the calendar: `{ games = [2, 2] }`."""
    ratio: Ratio | None = None
    """Rows relative to another processor's."""
    distinct: Distinct | None = None
    """How many different values columns have, for each of a count of the calendar."""
    unique: Unique | None = None
    """A key that no two rows share."""
    keys: Keys | None = None
    """Keys that another table has, each of which has a row."""
    rows_each: RowsEach | None = None
    """How many rows each group has."""
    volume: Volume | None = None
    """Rows relative to the median of the complete dates before."""
    change: Change | None = None
    """Measures relative to their medians on the complete dates before."""
    quality: Quality | None = None
    """A condition that enough rows must hold."""
    filled: Filled | None = None
    """Columns that must not be empty."""
    no_rows: NoRows | None = None
    """SQL with `@date` that must find nothing."""
    check: CommandCheck | None = None
    """A command about a date that must exit with 0. It runs where all other rules hold."""
    ramp: Ramp | None = None
    """Looser bounds for a season's first days."""
    empty: Literal["partition"] | None = None
    """`"partition"`: a date without rows is complete where its partition exists and no run failed."""
    bootstrap_days: int | None = Field(default=None, ge=0, le=366)
    """Days of the season on which nothing is expected, in place of the calendar's."""

    @cached_property
    def rules(self) -> dict[str, Rule]:
        """The stated rules by their keys, in the order in which they judge."""
        stated = {key: getattr(self, key) for key in type(self).model_fields}
        return {key: rule for key, rule in stated.items() if isinstance(rule, Rule)}

    @cached_property
    def aggregates(self) -> tuple[Aggregate, ...]:
        """The figures that the rules need, each once."""
        return tuple(dict.fromkeys(a for rule in self.rules.values() for a in rule.aggregates()))

    @cached_property
    def count_names(self) -> tuple[str, ...]:
        """The counts of the calendar that the rules need, each once."""
        return tuple(dict.fromkeys(name for rule in self.rules.values() for name in rule.count_names()))

    def rules_on(self, day: Day) -> Iterator[Rule]:
        """The rules that hold on a day: a step of the ramp replaces those that bound the rows."""
        ramped = self.ramp is not None and self.ramp.step(day) is not None
        return (rule for rule in self.rules.values() if not (ramped and isinstance(rule, RowBound)))

    @cached_property
    def days_compared(self) -> int:
        """How many days before a date its rules compare with; 0 where they compare with none."""
        return max((rule.days_compared() for rule in self.rules.values()), default=0)

    @cached_property
    def reference(self) -> str | None:
        """The processor that rules compare with; None where none does."""
        return next((name for rule in self.rules.values() if (name := rule.compared_with())), None)

    def reference_on(self, day: Day) -> str | None:
        """The processor that the rules of a day compare with: a step of the ramp replaces a ratio."""
        return next((name for rule in self.rules_on(day) if (name := rule.compared_with())), None)

    def unjudged(self, evidence: Evidence, day: Day) -> str:
        """Why some of the rules of a day say nothing of its rows; empty where all were judged."""
        return "; ".join(filter(None, (rule.unjudged(evidence, day) for rule in self.rules_on(day))))

    @cached_property
    def about_rows(self) -> Expectation:
        """The same with its bounds of rows alone; the expectation itself where it has no other rule."""
        stated = {key: getattr(self, key) for key in type(self).model_fields}
        if not any(value is not None for key, value in stated.items() if key not in _ABOUT_ROWS):
            return self
        return Expectation(**{key: value for key, value in stated.items() if key in _ABOUT_ROWS})

    @cached_property
    def without_reference(self) -> Expectation:
        """The same without the rules that compare with a processor, for a date on which they say nothing."""
        compared = {key for key, rule in self.rules.items() if rule.compared_with()}
        kept = {key: getattr(self, key) for key in type(self).model_fields if key not in compared}
        return Expectation(**kept)

    def row_range(self, day: Day, reference: int | None) -> Range:
        """How many rows a date may have; `reference` are the rows of the table it is measured against."""
        stated = [each for rule in self.rules_on(day) for each in rule.ranges(day, reference)]
        return functools.reduce(Range.narrowed, stated, Range(0 if stated else 1, None))
