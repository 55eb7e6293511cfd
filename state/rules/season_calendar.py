"""What is expected of a date: its season, its day in the season, its counts. Pure."""

from __future__ import annotations

import bisect
import datetime as dt
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from backfilld.state.rules.periods import period_bounds

Since = Literal["season", "month", "week"]
Lookback = Since | Literal["past"] | dt.date | int
"""How far back a window reaches: to the start of the season, month or week (Monday), to the first date that
is known (`past`), to a date, or a number of days."""

Counts = Mapping[str, int]
"""What a calendar counts on one date, by the names of its columns: `{"games": 5}`."""
CountsByDate = Mapping[dt.date, Counts | None]
"""What the calendar counts on dates; None where it does not count."""

_DAYS = "days:"


def days_key(name: str) -> str:
    """The key among the counts of a date that says, by 1 or 0, whether a query names it for days by name.

    No column has such a name.
    """
    return _DAYS + name


@dataclass(frozen=True, slots=True, kw_only=True)
class Season:
    """A span of dates, both ends included, in which something is expected."""

    name: str
    opens: dt.date
    closes: dt.date


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """One date of the calendar."""

    date: dt.date
    counts: Counts = field(default_factory=dict)
    """What the calendar counts; empty where it does not count."""
    named_days: Mapping[str, bool] = field(default_factory=dict)
    """Whether a query names the date, by the name of its days; absent until that query was answered."""
    season: str | None = None
    season_day: int | None = None
    """Days since the opener, which is day 0; None out of season."""
    reason: str = ""
    """Why nothing is expected; empty when something is."""

    @property
    def expected(self) -> bool:
        """Whether the date should have data at all."""
        return not self.reason

    @property
    def has_counts_outside_seasons(self) -> bool:
        """Whether the calendar counts something on it although it lies in no season."""
        return not self.expected and self.season is None and any(self.counts.values())

    def in_bootstrap(self, days: int) -> bool:
        """Whether the date is among the first `days` of its season; the opener is day 0."""
        return self.season_day is not None and 0 <= self.season_day < days


class Calendar:
    """The seasons of a pipeline. Without any, every date is in season and none has a season day.

    `counted` is whether the calendar counts something. `count_names` are the counts that rules refer to,
    `queried_days` the names of days that queries name.
    """

    def __init__(
        self,
        seasons: Sequence[Season],
        *,
        counted: bool,
        count_names: Iterable[str] = (),
        queried_days: Iterable[str] = (),
    ) -> None:
        self.seasons = tuple(sorted(seasons, key=lambda season: season.opens))
        self.counted = counted
        self._count_names = tuple(count_names)
        self._days_keys = tuple(map(days_key, queried_days))
        self._opens = [season.opens for season in self.seasons]

    def named(self, text: str) -> Season | None:
        """The season with this name, in any case of letters, or the only one of these years; else None.

        Years are those of its first and last date: `2021`, `2021-22`, `2021/2022`.
        """
        by_name = [season for season in self.seasons if season.name.casefold() == text.casefold()]
        years = re.fullmatch(r"(\d{4})(?:[-/](?:\d\d)?(\d\d))?", text)
        if by_name or years is None:
            return by_name[0] if by_name else None
        opens, closes = int(years[1]), years[2]
        of_years = [
            season
            for season in self.seasons
            if season.opens.year == opens and closes in (None, f"{season.closes.year % 100:02}")
        ]
        return of_years[0] if len(of_years) == 1 else None

    def season(self, date: dt.date) -> Season | None:
        """The season a date lies in."""
        latest = self._latest_opened(date)
        return latest if latest is not None and date <= latest.closes else None

    def day(self, date: dt.date, counts: Counts | None) -> Day:
        """What is expected of a date with the calendar's `counts`; None where the calendar does not count.

        Nothing is expected out of season, and where all counts are 0.
        """
        season, answer = self.season(date), dict(counts or {})
        known = {name: count for name, count in answer.items() if not name.startswith(_DAYS)}
        named = {name.removeprefix(_DAYS): bool(answer[name]) for name in answer.keys() - known.keys()}
        day = partial(Day, date=date, counts=known, named_days=named)
        if self.seasons and season is None:
            return day(reason=self._out_of_season(date))
        counted = counts is not None and (self.counted or not named)
        reason = _nothing_counted(known) if counted and not any(known.values()) else ""
        if season is None:
            return day(reason=reason)
        return day(season=season.name, season_day=(date - season.opens).days, reason=reason)

    def excludes_by_counts(self, date: dt.date, counts: Counts | None) -> bool:
        """Whether other counts could make something expected of a date that by these is not."""
        day = self.day(date, counts)
        return self.day(date, None).expected and not (day.expected and all(day.named_days.values()))

    def counts_of(
        self, dates: Iterable[dt.date], answer: Mapping[dt.date, Counts]
    ) -> dict[dt.date, Counts | None]:
        """The counts of each date by the calendar's answer: all 0 where the answer lacks the date.

        None for every date where the calendar does not count, and no query names days.
        """
        if not self.counted and not self._days_keys:
            return dict.fromkeys(dates)
        unnamed = dict.fromkeys(self._days_keys, 0)
        names = (name for counts in answer.values() for name in counts if name not in unnamed)
        nothing = dict.fromkeys([*self._count_names, *names], 0) if self.counted else {}
        return {date: _filled(answer.get(date, {}), nothing, unnamed) for date in dates}

    def lookback_start(self, date: dt.date, lookback: Lookback) -> dt.date:
        """The first date of the lookback window that ends the day before `date`.

        It is `date` itself where the window is empty, as that of `past` is before any date is known.
        """
        if isinstance(lookback, int):
            return dt.date.fromordinal(max(date.toordinal() - lookback, 1))
        if isinstance(lookback, dt.date):
            return min(lookback, date)
        return self._period(date, lookback)[0]

    def lookback_end(self, date: dt.date, lookback: Lookback) -> dt.date:
        """The last date whose lookback window begins at `date` or before."""
        if isinstance(lookback, int):
            return dt.date.fromordinal(min(date.toordinal() + lookback, dt.date.max.toordinal()))
        if isinstance(lookback, dt.date):
            return dt.date.max if date >= lookback else date
        return self._period(date, lookback)[1]

    def _period(self, date: dt.date, since: Since | Literal["past"]) -> tuple[dt.date, dt.date]:
        """The first and the last date of the season, month or week of a date; the date alone without one."""
        if since in ("week", "month"):
            return period_bounds(since, date)
        season = self.season(date) if since == "season" else None
        return (season.opens, season.closes) if season else (date, date)

    def _latest_opened(self, date: dt.date) -> Season | None:
        index = bisect.bisect_right(self._opens, date) - 1
        return self.seasons[index] if index >= 0 else None

    def _out_of_season(self, date: dt.date) -> str:
        following = [season for season in self.seasons if season.opens > date]
        if following:
            return f"preseason: {following[0].name} opens {following[0].opens}"
        return f"out of season: {self.seasons[-1].name} closed {self.seasons[-1].closes}"


def _filled(found: Counts, nothing: Counts, unnamed: Counts) -> Counts:
    """The counts of a date, all 0 where the calendar has none, with 0 for the days that do not name it."""
    return {**unnamed, **found} if found.keys() - unnamed.keys() else {**nothing, **unnamed, **found}


def _nothing_counted(counts: Counts) -> str:
    names = " and ".join(f"no {name}" for name in counts)
    return f"{names or 'nothing'} on this date"
