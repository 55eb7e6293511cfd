"""`ramp`: looser bounds of rows in a season's first days."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

from pydantic import ConfigDict, Field, RootModel, model_validator

from backfilld.state.pipeline.field_types import Bounds
from backfilld.state.pipeline.strict_model import StrictModel
from backfilld.state.rules.expectations.rule import Range, Rule
from backfilld.state.rules.season_calendar import Day


class RampStep(StrictModel):
    """Looser row bounds that hold until day `until_day` of the season (the opener is day 0)."""

    until_day: int = Field(gt=0)
    """The first day of the season on which it no longer holds."""
    rows: Bounds
    """`[min, max]` until then, in place of all other bounds of rows."""


class Ramp(RootModel[tuple[RampStep, ...]], Rule):
    """`ramp = [{ until_day = 35, rows = [0, 30] }]`."""

    model_config = ConfigDict(frozen=True, strict=True)

    root: tuple[RampStep, ...] = Field(min_length=1, strict=False)

    @model_validator(mode="after")
    def _rising(self) -> Self:
        days = [step.until_day for step in self.root]
        if days != sorted(set(days)):
            raise ValueError("ramp steps must have rising until_day")
        return self

    def step(self, day: Day) -> RampStep | None:
        """The step that holds on a day, if its season is that young."""
        number = day.season_day
        if number is None:
            return None
        return next((step for step in self.root if number < step.until_day), None)

    def ranges(self, day: Day, reference: int | None) -> Iterator[Range]:
        if step := self.step(day):
            yield Range(*step.rows)
