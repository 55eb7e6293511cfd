"""Calendars by name, `[[calendar.days]]`: which dates they name, and reading their files of dates."""

from __future__ import annotations

import csv
import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from pydantic import Field, model_validator

from backfilld.state.pipeline.field_types import Column, Name
from backfilld.state.pipeline.strict_model import StrictModel
from backfilld.state.rules.periods import Period
from backfilld.state.rules.recurring_days import WEEKDAYS, RecurringDays, Weekday


class DaysSettings(StrictModel):
    """Days by name, for `days` of a processor. All stated conditions must hold."""

    name: Name
    """What `days` of a processor refers to."""
    weekdays: tuple[Weekday, ...] = Field(default=(), min_length=1, strict=False)
    """Days of the week: `"mon"` to `"sun"`."""
    business: bool = False
    """Whether only Monday to Friday count, without `holidays`."""
    holidays: tuple[dt.date, ...] = Field(default=(), strict=False)
    """Dates that never count: a list, or the name of a CSV file with the column `date`."""
    dates: tuple[dt.date, ...] = Field(default=(), min_length=1, strict=False)
    """The dates that may count: a list, or the name of a CSV file with the column `date`."""
    query: str | None = Field(default=None, min_length=1)
    """SQL that gives the column `date` (a DATE) of the dates that may count, from `@start` to `@end`, in the
    dialect of the warehouse. It is sent again whenever the calendar is read."""
    count: Column | None = None
    """A count of the calendar's query or file that must be above 0, such as `deliveries`."""
    first_of: Period | None = None
    """Whether only the first such day of each `"week"` or `"month"` counts. It is chosen by its date alone:
    `query` and `count` cannot be beside it, and it may be a date that the calendar does not expect."""
    last_of: Period | None = None
    """Whether only the last such day of each `"week"` or `"month"` counts, chosen as with `first_of`."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not any(getattr(self, key) for key in type(self).model_fields if key != "name"):
            raise ValueError(
                "names every day; add weekdays, business, holidays, dates, query, count, first_of or last_of"
            )
        if self.query and (self.first_of or self.last_of):
            raise ValueError("query excludes first_of and last_of; let the query name the first or last date")
        if self.count and (self.first_of or self.last_of):
            raise ValueError(
                "count excludes first_of and last_of, which choose by the date alone; name the first or last "
                "dates by query or dates"
            )
        return self

    @property
    def recurring_days(self) -> RecurringDays:
        """The rule that says whether a date is one of these days."""
        return RecurringDays(
            name=self.name,
            weekdays=frozenset(self.weekdays or WEEKDAYS),
            business=self.business,
            holidays=frozenset(self.holidays),
            dates=frozenset(self.dates) if self.dates else None,
            count=self.count or "",
            queried=self.query is not None,
            first_of=self.first_of,
            last_of=self.last_of,
        )


def read_date_files(calendar: Any, folder: Path) -> tuple[Any, list[str]]:
    """The table `[calendar]` with dates in place of files of dates, and what is wrong with these files."""
    days = calendar.get("days") if isinstance(calendar, dict) else None
    if not isinstance(days, list):
        return calendar, []
    problems: list[str] = []
    tables = [_with_dates(table, folder, problems) if isinstance(table, dict) else table for table in days]
    return {**calendar, "days": tables}, problems


def _with_dates(table: dict[str, Any], folder: Path, problems: list[str]) -> dict[str, Any]:
    read = dict(table)
    for key in ("holidays", "dates"):
        if isinstance(table.get(key), str):
            where = f"calendar.days[{table.get('name', '')}].{key}"
            try:
                read[key] = list(_dates_of(folder / table[key]))
            except (OSError, ValueError, csv.Error) as error:
                reason = error.strerror if isinstance(error, OSError) else error
                problems.append(f"{where}: {table[key]}: {reason}; correct the file or its name")
                read[key] = [dt.date.min]  # in place of its dates, so that no other mistake follows
    return read


def _dates_of(path: Path) -> Iterator[dt.date]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file)
        if "date" not in (rows.fieldnames or ()):
            raise ValueError("it has no column date")
        for number, row in enumerate(rows, start=2):
            try:
                yield dt.date.fromisoformat(row["date"] or "")
            except ValueError:
                raise ValueError(f"line {number}: {row['date']!r} is not a date like 2021-10-19") from None
