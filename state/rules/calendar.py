"""What is expected of a date: its season, its day in the season, its games. Pure."""

from __future__ import annotations

import bisect
import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Lookback = Literal["season"] | int
"""How far back a sequential phase looks: the season so far, or a number of days."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Season:
    """A span of dates, both ends included, in which something is expected."""

    name: str
    opens: dt.date
    closes: dt.date


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """One date as the calendar sees it.

    `games` is None where the calendar does not count games. `reason` says why nothing is expected,
    and is empty when something is.
    """

    date: dt.date
    games: int | None = None
    season: str | None = None
    season_day: int | None = None
    reason: str = ""

    @property
    def expected(self) -> bool:
        """Whether the date should have data at all."""
        return not self.reason

    def in_bootstrap(self, days: int) -> bool:
        """Whether the date is among the first `days` of its season; the opener is day 0."""
        return self.season_day is not None and 0 <= self.season_day < days


class Calendar:
    """The seasons of a pipeline. Without any, every date is in season and none has a season day."""

    def __init__(self, seasons: Sequence[Season], *, counts_games: bool) -> None:
        self.seasons = tuple(sorted(seasons, key=lambda season: season.opens))
        self.counts_games = counts_games
        self._opens = [season.opens for season in self.seasons]

    def season(self, date: dt.date) -> Season | None:
        """The season a date lies in."""
        latest = self._latest_opened(date)
        return latest if latest is not None and date <= latest.closes else None

    def day(self, date: dt.date, games: int | None) -> Day:
        """What is expected of a date on which the calendar counts `games` (None: it does not count)."""
        season = self.season(date)
        if self.seasons and season is None:
            return Day(date=date, games=games, reason=self._out_of_season(date))
        reason = "no games on this date" if games == 0 else ""
        if season is None:
            return Day(date=date, games=games, reason=reason)
        number = (date - season.opens).days
        return Day(date=date, games=games, season=season.name, season_day=number, reason=reason)

    def lookback_start(self, date: dt.date, lookback: Lookback) -> dt.date:
        """The first date of the lookback window that ends the day before `date`."""
        if lookback == "season":
            season = self.season(date)
            return season.opens if season else date
        earliest = max(date.toordinal() - lookback, 1)
        return dt.date.fromordinal(earliest)

    def lookback_end(self, date: dt.date, lookback: Lookback) -> dt.date:
        """The last date whose lookback window begins at `date` or before."""
        if lookback == "season":
            season = self.season(date)
            return season.closes if season else date
        latest = min(date.toordinal() + lookback, dt.date.max.toordinal())
        return dt.date.fromordinal(latest)

    def _latest_opened(self, date: dt.date) -> Season | None:
        index = bisect.bisect_right(self._opens, date) - 1
        return self.seasons[index] if index >= 0 else None

    def _out_of_season(self, date: dt.date) -> str:
        following = [season for season in self.seasons if season.opens > date]
        if following:
            return f"preseason: {following[0].name} opens {following[0].opens}"
        return f"out of season: {self.seasons[-1].name} closed {self.seasons[-1].closes}"
