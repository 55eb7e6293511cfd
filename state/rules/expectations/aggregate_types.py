"""The figures that rules ask a table for, beside its number of rows. One query counts all of them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DistinctValues:
    """How many different values a column has; NULL is none."""

    column: str

    def __str__(self) -> str:
        return f"the distinct {self.column}"


@dataclass(frozen=True, slots=True)
class DistinctKeys:
    """How many different combinations of values several columns have; NULL is a value."""

    columns: tuple[str, ...]

    def __str__(self) -> str:
        return f"the distinct keys ({', '.join(self.columns)})"


@dataclass(frozen=True, slots=True)
class PassingRows:
    """How many rows hold a SQL predicate."""

    where: str

    def __str__(self) -> str:
        return f"the rows that hold {self.where}"


@dataclass(frozen=True, slots=True)
class EmptyValues:
    """In how many rows a column is NULL, NaN, blank or, with `zero`, zero."""

    column: str
    zero: bool = True

    def __str__(self) -> str:
        return f"the empty rows of {self.column}"


Aggregate = DistinctValues | DistinctKeys | PassingRows | EmptyValues


@dataclass(frozen=True, slots=True)
class GroupSizes:
    """How many rows the groups of a date have, against their bounds. A query of its own counts them."""

    group_by: tuple[str, ...]
    least: int
    most: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupCounts:
    """The groups of a date: how many there are, how many are out of bounds, and the extremes."""

    groups: int
    too_small: int
    too_large: int
    smallest: int
    largest: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyCounts:
    """The keys that another table has of a date, and those of the date's own rows."""

    expected: int
    """Different keys of the other table."""
    missing: int
    """Those among them that no row has."""
    extra: int
    """Different keys of the rows that the other table does not have."""
    missing_key: str = ""
    extra_key: str = ""
    """One of each, as text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OffendingRows:
    """The rows that SQL finds and must not find: how many, and up to two of them as texts."""

    rows: int
    examples: tuple[str, ...] = ()
