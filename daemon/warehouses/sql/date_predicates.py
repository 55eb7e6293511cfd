"""Which rows of a table belong to which dates, as expressions and query parameters. Pure.

A date is a value of a DATE column, the day of a DATETIME, the day of a TIMESTAMP in a time zone, or the
suffix of a table's name. Columns are compared as they are, so that a warehouse reads only the partitions of
the dates.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Any, Literal
from zoneinfo import ZoneInfo

from sqlglot import exp

from backfilld.daemon.warehouses.adapter import TimeType

Param = dt.date | dt.datetime | str | tuple[dt.date, ...] | tuple[str, ...]
"""A query parameter: DATE, TIMESTAMP (a datetime with a zone), DATETIME (one without), STRING, ARRAY<DATE> or
ARRAY<STRING>."""


def as_list(value: Param) -> Any:
    """A parameter as database drivers take it: an array is a list."""
    return list(value) if isinstance(value, tuple) else value


_SUFFIX = "%Y%m%d"
"""How the name of a table for one date ends."""

DAY = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class DateColumn:
    """The column by which rows belong to dates. `timezone` matters for a `timestamp` alone."""

    name: str
    type: Literal["date", "suffix"] | TimeType = "date"
    timezone: str = "UTC"

    @property
    def value(self) -> exp.Column:
        """The column."""
        return exp.column(self.name, quoted=True)

    @property
    def date(self) -> exp.Expr:
        """The date of a row."""
        match self.type:
            case "date":
                return self.value
            case "datetime":
                return exp.cast(self.value, "DATE")
            case "suffix":
                return exp.StrToDate(this=self.value, format=exp.Literal.string(_SUFFIX))
            case "timestamp":
                return exp.Date(this=self.value, zone=exp.Literal.string(self.timezone))

    def bounds(self, first: dt.date, last: dt.date) -> tuple[Param, Param]:
        """The values of the column between which the dates lie; the second one belongs to them only where
        the column has no times."""
        match self.type:
            case "date":
                return first, last
            case "suffix":
                return f"{first:{_SUFFIX}}", f"{last:{_SUFFIX}}"
            case _:
                return self.midnight(first), self.midnight(last + DAY)

    def midnight(self, date: dt.date) -> dt.datetime:
        """The first moment of a date, as a value of a column of times."""
        zone = ZoneInfo(self.timezone) if self.type == "timestamp" else None
        moment = dt.datetime.combine(date, dt.time(), zone)
        return moment.astimezone(dt.UTC) if zone else moment


@dataclass(frozen=True, slots=True)
class DateRange:
    """A set of dates as parameters of a query; `sparse` where it is less than half of the days it spans."""

    number: int
    sparse: bool
    column: DateColumn

    @property
    def predicate(self) -> exp.Expr:
        """Selects no partition before the first date or after the last.

        It names each date of a sparse set, so that the gaps of a DATE column are not billed.
        """
        column, start, end = self.column, parameter(f"start{self.number}"), parameter(f"end{self.number}")
        if column.type in ("date", "suffix"):
            within: exp.Expr = column.value.between(start, end)
        else:
            from_start = exp.GTE(this=column.value, expression=start)
            within = exp.and_(from_start, exp.LT(this=column.value, expression=end))
        if column.type == "suffix":
            # Not `20240301_old`, which lies between the suffixes of two dates.
            eight = exp.Length(this=column.value).eq(8)
            within = exp.and_(within, eight)
        return exp.and_(within, is_in(column.date, f"dates{self.number}")) if self.sparse else within


@dataclass(slots=True)
class DateFilter:
    """The parameters of a query's dates: one set per distinct set of dates and way to compare them."""

    params: dict[str, Param] = field(default_factory=dict)
    _dates: dict[dt.date, str] = field(default_factory=dict)
    _numbers: dict[tuple[tuple[dt.date, ...], str, str], int] = field(default_factory=dict)

    def add(self, dates: tuple[dt.date, ...], column: DateColumn) -> DateRange:
        """The range for dates in order, whose parameters are part of the query from now on."""
        number = self._numbers.setdefault((dates, column.type, column.timezone), len(self._numbers))
        start, end = f"start{number}", f"end{number}"
        self.params[start], self.params[end] = column.bounds(dates[0], dates[-1])
        if sparse := 2 * len(dates) < (dates[-1] - dates[0]).days + 1:
            self.params[f"dates{number}"] = dates
        return DateRange(number, sparse, column)

    def add_date(self, date: dt.date) -> str:
        """The name of the parameter for one date, which is part of the query from now on."""
        name = self._dates.setdefault(date, f"date{len(self._dates)}")
        self.params[name] = date
        return name


def parameter(name: str) -> exp.Parameter:
    """A query parameter by name."""
    return exp.Parameter(this=exp.var(name))


def is_in(value: exp.Expr, name: str) -> exp.In:
    """Whether a value is in the list of a query parameter."""
    return exp.In(this=value, unnest=exp.Unnest(expressions=[parameter(name)]))
