"""The calendar grid: one square per date, a row per season, weeks from left to right, Mondays on top. Pure.

All dates of a row with the same style are one SVG path, so that thousands of dates need a few dozen
elements: drawing them is fast and needs no script.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from backfilld.api.page.date_styles import DateStyle, DateStyles
from backfilld.state.rules.dates_between import dates_between
from backfilld.state.rules.season_calendar import Calendar, Season
from backfilld.state.store.pace_and_calendar_queries import Cell

UNIT = 10
"""The side of a square and its gap, in the units of the picture."""
TOP = 9
"""Units above the squares, for the names of the months."""
NEAR_DAYS = 120
"""A date outside all seasons is drawn in the row of the nearest season, if that is at most this far away."""
_SQUARE = "m1 1h7v7h-7z"
_DOT = "m4.5 4.5h0"
_RING = "m.5.5h8v8h-8z"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """All dates of a row with the same style: their squares, and their glyphs if the style has one."""

    style: DateStyle
    n: int
    squares: str
    glyphs: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A season, or a year of dates that are in no season. `first` is the Monday at the top left."""

    name: str
    first: dt.date
    weeks: int
    months: Sequence[tuple[int, str]]
    layers: Sequence[Layer]
    blank: str
    """SVG path of the days that were never enqueued."""
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
        """The counts of the row by style, as text."""
        return ", ".join(f"{layer.n} {layer.style.label}" for layer in self.layers)


def rows(
    cells: Sequence[Cell], calendar: Calendar, styles: DateStyles, running: Collection[dt.date] = ()
) -> list[Row]:
    """The rows of all dates, oldest first. `running` are the dates with a running job."""
    grouped: dict[tuple[dt.date, dt.date, str], list[Cell]] = defaultdict(list)
    for cell in cells:
        grouped[_row_of(cell.date, calendar)].append(cell)
    return [
        _row(name, min(opens, group[0].date), max(closes, group[-1].date), group, styles, running)
        for (opens, closes, name), group in sorted(grouped.items())
    ]


def _row_of(date: dt.date, calendar: Calendar) -> tuple[dt.date, dt.date, str]:
    season = calendar.season(date) or min(
        calendar.seasons, key=lambda season: _distance(season, date), default=None
    )
    if season is None or _distance(season, date) > NEAR_DAYS:
        return dt.date(date.year, 1, 1), dt.date(date.year, 12, 31), str(date.year)
    return season.opens, season.closes, season.name


def _distance(season: Season, date: dt.date) -> int:
    """Days between a date and a season; 0 inside it."""
    return max((season.opens - date).days, (date - season.closes).days, 0)


def _row(
    name: str,
    first: dt.date,
    last: dt.date,
    cells: Sequence[Cell],
    styles: DateStyles,
    running: Collection[dt.date],
) -> Row:
    monday = first - dt.timedelta(days=first.weekday())
    by_style: dict[DateStyle, list[dt.date]] = defaultdict(list)
    for cell in cells:
        by_style[styles.for_state(cell.state, cell.outcome)].append(cell.date)
    known = {cell.date for cell in cells}
    order = {style: number for number, style in enumerate(styles.all)}
    return Row(
        name=name,
        first=monday,
        weeks=(last - monday).days // 7 + 1,
        months=list(_months(monday, first, last)),
        layers=[
            Layer(
                style=style,
                n=len(dates),
                squares=_path(monday, dates, _SQUARE),
                glyphs=_path(monday, dates, style.glyph) if style.glyph else "",
            )
            for style, dates in sorted(by_style.items(), key=lambda item: order[item[0]])
        ],
        blank=_path(monday, (day for day in dates_between(first, last) if day not in known), _DOT),
        running=_path(monday, (day for day in sorted(running) if day in known), _RING),
        dates=len(cells),
    )


def _path(monday: dt.date, dates: Iterable[dt.date], shape: str) -> str:
    """An SVG path with the shape in the square of each date."""
    origin = monday.toordinal()
    pieces = []
    for date in dates:
        week, day = divmod(date.toordinal() - origin, 7)
        pieces.append(f"M{week * UNIT} {TOP + day * UNIT}{shape}")
    return "".join(pieces)


def _months(monday: dt.date, first: dt.date, last: dt.date) -> Iterator[tuple[int, str]]:
    """Position and name of each month, except a first month of which the row shows less than two weeks."""
    for day in dates_between(first, last):
        if day.day == 1 or (day == first and day.day <= 17):
            yield (day - monday).days // 7 * UNIT, day.strftime("%b")
