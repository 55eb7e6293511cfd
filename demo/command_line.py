"""The command lines of the platform's jobs, which agree on little.

Most take `--start-date` and `--end-date`, one takes them with underscores, one takes a start alone, one takes
a file of dates. What a job does not know makes argparse exit with 2. A bad or inverted date exits with 1.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path


class BadDates(Exception):
    """The dates on the command line cannot be worked with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandLine:
    """How one job wants to be told its dates, and what else it accepts."""

    start: str | None = "--start-date"
    end: str | None = "--end-date"
    days: str | None = None
    """The option that says how many days from the start, where there is no end."""
    required: bool = False
    """The start must be there, or argparse refuses; otherwise no dates means the whole season."""
    dates: str | None = None
    """The option that takes a list with commas."""
    dates_file: str | None = None
    """The option that takes a file with one date a line."""
    switches: Sequence[str] = ()
    values: Mapping[str, str] = field(default_factory=dict)
    """Options with a value, and their defaults: accepted as the real job accepts them."""

    def parser(self, description: str | None) -> argparse.ArgumentParser:
        """The job's argparse parser; options are spelled in full, as the real ones must be to be safe."""
        parser = argparse.ArgumentParser(description=description, allow_abbrev=False)
        if self.start:
            parser.add_argument(self.start, dest="start", metavar="DATE", required=self.required)
        if self.end:
            parser.add_argument(self.end, dest="end", metavar="DATE", help="inclusive; default: the start")
        if self.days:
            parser.add_argument(self.days, dest="days", type=int, help="default: to the end of the season")
        if self.dates:
            parser.add_argument(self.dates, dest="dates", metavar="DATE,DATE")
        if self.dates_file:
            parser.add_argument(
                self.dates_file, dest="dates_file", type=Path, metavar="FILE", required=self.required
            )
        parser.add_argument("--dry-run", action="store_true", help="say what would be done, write nothing")
        for switch in self.switches:
            parser.add_argument(switch, action="store_true", help="accepted, without effect in the demo")
        for option, default in self.values.items():
            parser.add_argument(
                option, default=default, help=f"accepted, without effect (default: {default})"
            )
        return parser

    def chosen(self, given: argparse.Namespace, season: Sequence[date]) -> list[date]:
        """The dates to work on, oldest first. `season` is every date with games.

        Raises BadDates for a malformed date, an inverted range or a file that cannot be read.
        """
        listed = self._listed(given)
        if listed is not None:
            return sorted({_date(text) for text in listed})
        start = getattr(given, "start", None)
        if start is None:
            return list(season)
        first = _date(start)
        if self.end:
            return _days(first, _date(given.end or start))
        last = first + timedelta(days=given.days - 1) if self.days and given.days else date.max
        return [day for day in season if first <= day <= last]

    def _listed(self, given: argparse.Namespace) -> list[str] | None:
        if self.dates and given.dates is not None:
            return [part for part in given.dates.split(",") if part.strip()]
        if self.dates_file and given.dates_file is not None:
            try:
                return list(given.dates_file.read_text().split())
            except OSError as error:
                raise BadDates(f"cannot read {given.dates_file}: {error.strerror}") from error
        return None


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text.strip())
    except ValueError as error:
        raise BadDates(f"not a date: {text!r}") from error


def _days(start: date, end: date) -> list[date]:
    if end < start:
        raise BadDates(f"{start} is after {end}")
    return [start + timedelta(days=offset) for offset in range((end - start).days + 1)]
