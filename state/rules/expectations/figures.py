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
class PassingRows:
    """How many rows hold a SQL predicate."""

    where: str

    def __str__(self) -> str:
        return f"the rows that hold {self.where}"


@dataclass(frozen=True, slots=True)
class EmptyValues:
    """In how many rows a column is NULL or zero."""

    column: str

    def __str__(self) -> str:
        return f"the NULL or zero rows of {self.column}"


Aggregate = DistinctValues | PassingRows | EmptyValues
