"""`rows` and `rows_per`: how many rows a date has, as a number or for each thing that the calendar counts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pydantic import ConfigDict, Field, RootModel

from backfilld.state.pipeline.field_types import Bounds, Column
from backfilld.state.rules.expectations.rule import Range, RowBound
from backfilld.state.rules.season_calendar import Day


class Rows(RootModel[Bounds], RowBound):
    """`rows = [min, max]`."""

    model_config = ConfigDict(frozen=True, strict=True)

    root: Bounds

    def ranges(self, day: Day, reference: int | None) -> Iterator[Range]:
        yield Range(*self.root)


class RowsPer(RootModel[Mapping[Column, Bounds]], RowBound):
    """`rows_per = { games = [min, max] }`: the bounds are multiplied by the date's count."""

    model_config = ConfigDict(frozen=True, strict=True)

    root: Mapping[Column, Bounds] = Field(min_length=1)

    def count_names(self) -> tuple[str, ...]:
        return tuple(self.root)

    def ranges(self, day: Day, reference: int | None) -> Iterator[Range]:
        for name, (least, most) in self.root.items():
            if name in day.counts:
                yield scaled(least, most, day.counts[name])


def scaled(least: int, most: int | None, count: int) -> Range:
    """So many for each of a count."""
    return Range(least * count, None if most is None else most * count)
