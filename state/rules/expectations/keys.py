"""`keys`: which keys a date has, by another table, and not only how many."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Self

from pydantic import Field, model_validator

from backfilld.state.formatting import pluralize
from backfilld.state.pipeline.field_types import Column, TableName
from backfilld.state.pipeline.strict_model import StrictModel
from backfilld.state.rules.evidence import Evidence
from backfilld.state.rules.expectations.rule import Finding, Range, Rule, as_written
from backfilld.state.rules.season_calendar import Day
from backfilld.state.rules.verdict import Verdict


class Keys(StrictModel, Rule):
    """`keys = { columns = ["shop_id"], from = "ref.shop_days", where = "is_open" }`."""

    columns: tuple[Column, ...] = Field(min_length=1, strict=False)
    """The columns of the key. NULL is a value like any other; values are compared as texts."""
    table: TableName | None = Field(default=None, alias="from")
    """The table that has each key of a date. For the output of a processor, write `of`."""
    of: str | None = None
    """In place of `from`: a processor whose output has each key, of an earlier state or named in `after`."""
    from_columns: tuple[Column, ...] = Field(default=(), strict=False)
    """The columns of the key there, where they have other names."""
    date_column: Column | None = None
    """The DATE column of `from`; without it, the processor's own `date_column`."""
    every_date: bool = False
    """Whether `from` has no dates, and each of its keys belongs to every date."""
    where: str | None = Field(default=None, min_length=1)
    """A condition on a row of the other table, in the dialect of the warehouse: other rows are no keys."""
    share: float = Field(default=0.0, ge=0, lt=1)
    """The share of the keys that may be missing."""
    allow_extra: bool = False
    """Whether rows may have keys that the other table does not have."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.table is None) is (self.of is None):
            raise ValueError("needs one of `from`, a table, and `of`, a processor; write one of them")
        if self.from_columns and len(self.from_columns) != len(self.columns):
            raise ValueError("from_columns and columns are pairs; name as many there as here")
        if self.date_column and (self.every_date or self.of):
            other = "every_date" if self.every_date else "of"
            raise ValueError(f"date_column and {other} exclude each other; keep one")
        if self.every_date and self.of:
            raise ValueError("every_date is for a table without dates, and an output has them; remove it")
        return self

    @property
    def source(self) -> str:
        """The other table or processor, for sentences."""
        return self.table or self.of or ""

    @property
    def source_columns(self) -> tuple[str, ...]:
        """The columns of the key in the other table."""
        return self.from_columns or self.columns

    def column_names(self) -> tuple[str, ...]:
        return self.columns

    def compared_with(self) -> str | None:
        return self.of

    def sql_texts(self) -> Mapping[str, str]:
        return {"where": self.where} if self.where else {}

    def ranges(self, day: Day, reference: int | None) -> Iterator[Range]:
        """A date without any row has no key, whatever `rows` allows."""
        yield Range(1, None)

    def uncounted(self, evidence: Evidence) -> str:
        return "" if evidence.keys else "the keys were not counted"

    def check(self, evidence: Evidence, day: Day) -> Finding | None:
        """Missing keys are `partial`, extra ones `excess`; with none to compare with it is `unknown`."""
        counts = evidence.keys
        if counts is None:
            return None
        key = f"({', '.join(self.columns)})"
        if not counts.expected:
            return Verdict.UNKNOWN, f"{self.source}, which has the keys {key}, has none of this date"
        if counts.missing > as_written(self.share) * counts.expected:
            limit = f", at most {100 * self.share:g} % may be" if self.share else ""
            are = "is" if counts.missing == 1 else "are"
            expected = pluralize(counts.expected, "key")
            found = f"{counts.missing} of {expected} {key} of {self.source} {are} missing"
            return Verdict.PARTIAL, f"{found}{_example(counts.missing_key)}{limit}"
        if counts.extra and not self.allow_extra:
            are = "is" if counts.extra == 1 else "are"
            extra = pluralize(counts.extra, "key")
            found = f"{extra} {key} {are} not in {self.source}{_example(counts.extra_key)}"
            return Verdict.EXCESS, found
        return None

    def check_empty(self, evidence: Evidence, day: Day) -> Finding | None:
        """No rows are right where the other table has no keys of the date."""
        if self.every_date:
            return Verdict.PARTIAL, f"no rows, and the keys of {self.source} belong to every date"
        if absent := self.uncounted(evidence):
            return Verdict.UNKNOWN, absent
        return self.check(evidence, day) if evidence.keys and evidence.keys.expected else None


def _example(key: str) -> str:
    return f", such as {key}" if key else ""
