"""Response models of the grid: the verdict of every processor and date of a range, in few bytes."""

from __future__ import annotations

import datetime as dt

from pydantic import Field

from backfilld.api.schemas.fields import ResponseModel


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
