"""The command lines of the platform's jobs, which differ.

Most take `--start-date` and `--end-date`, one takes them with underscores, one takes only a start, one takes
a file of dates. An unknown option makes argparse exit with 2. A malformed date or an inverted range exits
with 1.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path


class BadDates(Exception):
    """The dates on the command line are not valid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandLine:
    """The options of one job for its dates, and its other options."""

    start: str | None = "--start-date"
    end: str | None = "--end-date"
    days: str | None = None
    """The option for the number of days from the start, if there is no end."""
    required: bool = False
    """Whether argparse requires the start. If not, no dates mean the whole season."""
    dates: str | None = None
    """The option that takes comma-separated dates."""
    dates_file: str | None = None
    """The option that takes a file with one date a line."""
    switches: Sequence[str] = ()
    values: Mapping[str, str] = field(default_factory=dict)
    """Options with a value, and their defaults. The job accepts and ignores them."""

    def parser(self, description: str | None) -> argparse.ArgumentParser:
        """The argparse parser of the job. Options must be spelled in full."""
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

    def dates_from(self, arguments: argparse.Namespace, season: Sequence[date]) -> list[date]:
        """The dates to process, oldest first. `season` is every date with games.

        Raises BadDates for a malformed date, an inverted range or a file that cannot be read.
        """
        listed = self._listed(arguments)
        if listed is not None:
            return sorted({_date(text) for text in listed})
        start = getattr(arguments, "start", None)
        if start is None:
            return list(season)
        first = _date(start)
        if self.end:
            return _days(first, _date(arguments.end or start))
        last = first + timedelta(days=arguments.days - 1) if self.days and arguments.days else date.max
        return [day for day in season if first <= day <= last]

    def _listed(self, arguments: argparse.Namespace) -> list[str] | None:
        if self.dates and arguments.dates is not None:
            return [part for part in arguments.dates.split(",") if part.strip()]
        if self.dates_file and arguments.dates_file is not None:
            try:
                return list(arguments.dates_file.read_text().split())
            except OSError as error:
                raise BadDates(f"cannot read {arguments.dates_file}: {error.strerror}") from error
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
