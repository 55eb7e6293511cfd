"""The calendar grid: one square per date, a row per season, weeks from left to right, Mondays on top. Pure.

All dates of a row that look alike are one SVG path, so that thousands of dates are a few dozen elements:
they are drawn, and drawn again after a change, in no time, and without a script.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from backfilld.api.page.date_styles import DateStyle, DateStyles
from backfilld.state.rules.calendar import Calendar, Season
from backfilld.state.store.queries import Cell

UNIT = 10
"""The side of a square and its gap, in the units of the picture."""
TOP = 9
"""Units above the squares, for the months' names."""
NEAR_DAYS = 120
"""A date outside of all seasons belongs to the row of a season no further away than this."""
_SQUARE = "m1 1h7v7h-7z"
_DOT = "m4.5 4.5h0"
_RING = "m.5.5h8v8h-8z"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """All dates of a row that look alike: their squares, and their marks where they have one."""

    kind: DateStyle
    n: int
    squares: str
    glyphs: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A season, or a year of dates that lie in none. `first` is the Monday on its top left."""

    name: str
    first: dt.date
    weeks: int
    months: Sequence[tuple[int, str]]
    layers: Sequence[Layer]
    blank: str
    """Days of the row that nobody enqueued."""
    running: str
    dates: int

    @property
    def width(self) -> int:
        """In units."""
        return self.weeks * UNIT

    @property
    def height(self) -> int:
        """In units."""
        return TOP + 7 * UNIT

    @property
    def summary(self) -> str:
        """The row in words."""
        return ", ".join(f"{layer.n} {layer.kind.words}" for layer in self.layers)


def rows(
    cells: Sequence[Cell], calendar: Calendar, kinds: DateStyles, running: Collection[dt.date] = ()
) -> list[Row]:
    """The rows of all dates, oldest first. `running` are the dates for which a job is under way."""
    grouped: dict[tuple[dt.date, dt.date, str], list[Cell]] = defaultdict(list)
    for cell in cells:
        grouped[_row_of(cell.date, calendar)].append(cell)
    return [
        _row(name, min(opens, own[0].date), max(closes, own[-1].date), own, kinds, running)
        for (opens, closes, name), own in sorted(grouped.items())
    ]


def _row_of(date: dt.date, calendar: Calendar) -> tuple[dt.date, dt.date, str]:
    season = calendar.season(date) or min(calendar.seasons, key=lambda one: _away(one, date), default=None)
    if season is None or _away(season, date) > NEAR_DAYS:
        return dt.date(date.year, 1, 1), dt.date(date.year, 12, 31), str(date.year)
    return season.opens, season.closes, season.name


def _away(season: Season, date: dt.date) -> int:
    """Days between a date and a season; 0 within it."""
    return max((season.opens - date).days, (date - season.closes).days, 0)


def _row(
    name: str,
    first: dt.date,
    last: dt.date,
    cells: Sequence[Cell],
    kinds: DateStyles,
    running: Collection[dt.date],
) -> Row:
    monday = first - dt.timedelta(days=first.weekday())
    alike: dict[DateStyle, list[dt.date]] = defaultdict(list)
    for cell in cells:
        alike[kinds.of(cell.state, cell.outcome)].append(cell.date)
    known = {cell.date for cell in cells}
    order = {kind: number for number, kind in enumerate(kinds.all)}
    return Row(
        name=name,
        first=monday,
        weeks=(last - monday).days // 7 + 1,
        months=list(_months(monday, first, last)),
        layers=[
            Layer(
                kind=kind,
                n=len(dates),
                squares=_path(monday, dates, _SQUARE),
                glyphs=_path(monday, dates, kind.glyph) if kind.glyph else "",
            )
            for kind, dates in sorted(alike.items(), key=lambda item: order[item[0]])
        ],
        blank=_path(monday, (day for day in _days(first, last) if day not in known), _DOT),
        running=_path(monday, (day for day in sorted(running) if day in known), _RING),
        dates=len(cells),
    )


def _path(monday: dt.date, dates: Iterable[dt.date], shape: str) -> str:
    """The shape at the place of each date."""
    origin = monday.toordinal()
    pieces = []
    for date in dates:
        week, day = divmod(date.toordinal() - origin, 7)
        pieces.append(f"M{week * UNIT} {TOP + day * UNIT}{shape}")
    return "".join(pieces)


def _months(monday: dt.date, first: dt.date, last: dt.date) -> Iterator[tuple[int, str]]:
    """Where each month begins, save for one of which the row has less than about two weeks at its start."""
    for day in _days(first, last):
        if day.day == 1 or (day == first and day.day <= 17):
            yield (day - monday).days // 7 * UNIT, day.strftime("%b")


def _days(first: dt.date, last: dt.date) -> Iterator[dt.date]:
    return (dt.date.fromordinal(number) for number in range(first.toordinal(), last.toordinal() + 1))
