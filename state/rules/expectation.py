"""What a processor's output of one date must look like to count as complete.

Every rule is optional. Without any, one row is enough.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, model_validator

from backfilld.state.pipeline.strict_model import StrictModel

IDENTIFIER = r"^[A-Za-z_][A-Za-z0-9_]*$"


def _bounds(value: object) -> object:
    """`[min]` and `[min, max]` as a pair; anything else goes on to the type check."""
    if isinstance(value, list) and len(value) in (1, 2):
        return (value[0], value[1] if len(value) == 2 else None)
    return value


Bounds = Annotated[tuple[Annotated[int, Field(ge=0)], int | None], BeforeValidator(_bounds)]
Share = Annotated[float, Field(gt=0, le=1)]
Column = Annotated[str, Field(pattern=IDENTIFIER)]


def _ordered(bounds: tuple[float, float | None] | None, key: str) -> None:
    if bounds is not None and bounds[1] is not None and bounds[0] > bounds[1]:
        raise ValueError(f"{key} can never hold: the minimum {bounds[0]} is above the maximum {bounds[1]}")


class Ratio(StrictModel):
    """Rows relative to the rows that another processor's table has for the same date."""

    of: str
    """That processor, of an earlier state or named in `after`."""
    min: float = Field(default=0.0, ge=0)
    """Least rows for each row there."""
    max: float | None = Field(default=None, gt=0)
    """Most rows for each row there."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        _ordered((self.min, self.max), "ratio")
        return self


class Quality(StrictModel):
    """A SQL predicate (BigQuery's dialect) that at least `share` of the rows must hold."""

    where: str = Field(min_length=1)
    """A condition on a row."""
    share: Share = 1.0
    """The share of rows that must hold it."""


class Filled(StrictModel):
    """Columns that may be NULL or zero in at most `share` of the rows."""

    columns: tuple[Column, ...] = Field(min_length=1, strict=False)
    """Their names."""
    share: float = Field(default=0.0, ge=0, lt=1)
    """The share of rows that may be empty."""


class RampStep(StrictModel):
    """Looser row bounds that hold until day `until_day` of the season (the opener is day 0)."""

    until_day: int = Field(gt=0)
    """The first day of the season on which it no longer holds."""
    rows: Bounds
    """`[min, max]` until then, in place of all other bounds of rows."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        _ordered(self.rows, "rows")
        return self


class Expectation(StrictModel):
    """All that is expected of one processor's rows for one date."""

    rows_per_game: Bounds | None = None
    """`[min]` or `[min, max]` for each game of the date."""
    rows: Bounds | None = None
    """`[min]` or `[min, max]`."""
    games_column: Column | None = None
    """Its distinct values must be as many as the calendar's games."""
    ratio: Ratio | None = None
    """Rows relative to another processor's."""
    quality: Quality | None = None
    """A condition that enough rows must hold."""
    filled: Filled | None = None
    """Columns that must be neither NULL nor zero."""
    ramp: tuple[RampStep, ...] = Field(default=(), strict=False)
    """Looser bounds for a season's first days."""
    bootstrap_days: int | None = Field(default=None, ge=0, le=366)
    """Days of the season on which nothing is expected, in place of the calendar's."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        _ordered(self.rows, "rows")
        _ordered(self.rows_per_game, "rows_per_game")
        days = [step.until_day for step in self.ramp]
        if days != sorted(set(days)):
            raise ValueError("ramp steps must have rising until_day")
        return self

    @property
    def needs_games(self) -> bool:
        """Whether it can only be judged when the calendar counts games."""
        return self.rows_per_game is not None or self.games_column is not None


@dataclass(frozen=True, slots=True)
class Range:
    """Allowed numbers of rows, both ends included; `most` None means no upper limit."""

    least: int
    most: int | None

    def __str__(self) -> str:
        if self.most is None:
            return f"at least {self.least}"
        return str(self.least) if self.least == self.most else f"{self.least} to {self.most}"

    def narrowed(self, least: int, most: int | None) -> Range:
        """The range that both this one and `least` to `most` allow."""
        mosts = [bound for bound in (self.most, most) if bound is not None]
        return Range(max(self.least, least), min(mosts) if mosts else None)
