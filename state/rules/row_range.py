"""How many rows a date may have, from an expectation, the day and another table's rows. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction

from backfilld.state.rules.calendar import Day
from backfilld.state.rules.expectation import Expectation, RampStep, Range


def row_range(expectation: Expectation, day: Day, reference: int | None) -> Range:
    """How many rows a date may have. A ramp step replaces the row rules until its day of the season."""
    if step := ramp_step(expectation, day):
        return Range(*step.rows)
    stated = list(_row_rules(expectation, day, reference))
    allowed = Range(0 if stated else 1, None)
    for least, most in stated:
        allowed = allowed.narrowed(least, most)
    return allowed


def ramp_step(expectation: Expectation, day: Day) -> RampStep | None:
    """The ramp step that holds on a day, if its season is that young."""
    for step in expectation.ramp:
        if day.season_day is not None and day.season_day < step.until_day:
            return step
    return None


def _row_rules(expectation: Expectation, day: Day, reference: int | None) -> Iterator[tuple[int, int | None]]:
    if expectation.rows:
        yield expectation.rows
    if expectation.rows_per_game and day.games is not None:
        least, most = expectation.rows_per_game
        yield least * day.games, None if most is None else most * day.games
    if expectation.ratio and reference:
        ratio = expectation.ratio
        most = None if ratio.max is None else math.floor(as_written(ratio.max) * reference)
        yield math.ceil(as_written(ratio.min) * reference), most


def as_written(share: float) -> Fraction:
    """The decimal of the file: with floats, 0.55 of 100 rows would need 56."""
    return Fraction(str(share))
