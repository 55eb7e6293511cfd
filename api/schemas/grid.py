"""Models of the grid: a verdict per processor and date of a range in few bytes, and a marked rectangle."""

from __future__ import annotations

import datetime as dt
from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from backfilld.api.schemas.field_types import PlainDate, Reason, ResponseModel, fault
from backfilld.api.schemas.range_validators import refuse_wide
from backfilld.state.pipeline.strict_model import StrictModel


class GridRow(ResponseModel):
    """One processor, with one letter per date of the grid."""

    phase: str
    processor: str
    cells: str = Field(description="one letter per date from `start` on; a capital: let pass by a waiver")


class Grid(ResponseModel):
    """The processors in the order of the pipeline; `legend` has the meaning of each letter."""

    start: dt.date
    end: dt.date
    dates: int
    legend: dict[str, str]
    rows: list[GridRow]


class GridAction(StrEnum):
    """What can be done with a rectangle of the grid."""

    RETRY = "retry"
    ACCEPT = "accept"


class GridSelection(StrictModel):
    """A rectangle of the grid, `first` and `last` included, and an action; without processors: all."""

    first: PlainDate
    last: PlainDate
    processor: Annotated[tuple[str, ...], Field(strict=False)] = ()
    do: Annotated[GridAction, Field(strict=False)]
    reason: Reason | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.last < self.first:
            raise fault("last", f"{self.last} is before first {self.first}")
        refuse_wide("last", self.first, self.last)
        return self
