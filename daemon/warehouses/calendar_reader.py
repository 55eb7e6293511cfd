"""The calendar's counts per date by its SQL or its CSV file, if any, and the days that queries name."""

from __future__ import annotations

import csv
import datetime as dt
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TextIO, TypeVar

from backfilld.daemon.warehouses.adapter import QueryError, WarehouseError
from backfilld.daemon.warehouses.sql.backend_interface import Row, SqlBackend
from backfilld.daemon.warehouses.sql.evidence_queries import Query, Select, Statement
from backfilld.daemon.warehouses.sql.fragment_embedding import user_sql
from backfilld.state.pipeline.field_types import COLUMN
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.rules.season_calendar import Counts, days_key

_Answer = TypeVar("_Answer")
_CORRECT = "correct that line of calendar.file"
CalendarCounts = Mapping[dt.date, Counts]


class CalendarReader:
    """Counts per date, for every warehouse."""

    def __init__(self, pipeline: Pipeline, backend: SqlBackend) -> None:
        query = pipeline.calendar.query
        self._query = _statement(query) if query else None
        self._days = {days.name: _statement(days.query) for days in pipeline.calendar.days if days.query}
        self._path = pipeline.path.parent / pipeline.calendar.file if pipeline.calendar.file else None
        self._backend = backend
        self._read: tuple[tuple[int, int], CalendarCounts] | None = None

    def counts(self, start: dt.date, end: dt.date) -> CalendarCounts:
        """Counts of the dates that the calendar names, both ends included; empty where it does not count.

        A date that the query of some named days gives has 1 by their `days_key`.

        Raises:
            WarehouseError: a query was not answered, or an answer or the file makes no sense.
        """
        known: dict[dt.date, Counts] = {}
        if self._query:
            known |= self._ask("calendar.query", self._query, _of_rows, start, end)
        elif self._path:
            known |= self._file(self._path)
        for name, query in self._days.items():
            key = f"calendar.days[{name}].query"
            for date in self._ask(key, query, _dates_of_rows, start, end):
                known[date] = {**known.get(date, {}), days_key(name): 1}
        return {date: counts for date, counts in known.items() if start <= date <= end}

    def _ask(
        self,
        key: str,
        query: Statement,
        parse: Callable[[Iterable[Row]], _Answer],
        start: dt.date,
        end: dt.date,
    ) -> _Answer:
        try:
            sent = Query(selects=(Select(statement=query),), params={"start": start, "end": end})
            return parse(self._backend.query(sent, purpose="calendar"))
        except QueryError as refusal:
            raise WarehouseError(f"{key} was refused: {refusal}", hint=f"correct {key}") from refusal
        except (TypeError, ValueError) as error:
            raise WarehouseError(f"{key}: {error}", hint=f"correct {key}") from error

    def _file(self, path: Path) -> CalendarCounts:
        """The file's dates, read again when it changed."""
        try:
            known = path.stat()
            stamp = (known.st_mtime_ns, known.st_size)
        except OSError as error:
            raise _unreadable(path, error) from error
        if self._read is None or self._read[0] != stamp:
            self._read = (stamp, read_calendar_file(path))
        return self._read[1]


def read_calendar_file(path: Path) -> CalendarCounts:
    """Counts by date of the CSV file of a calendar.

    Raises:
        WarehouseError: it cannot be read, or names the line that cannot be used.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return _of_file(file, path)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> WarehouseError:
    reason = error.strerror if isinstance(error, OSError) else error
    remedy = "write the file, or correct calendar.file"
    return WarehouseError(f"calendar.file {path} cannot be read: {reason}", hint=remedy, permanent=True)


def _statement(text: str) -> Statement:
    return Statement(user_sql(text.strip().rstrip(";")))


def _dates_of_rows(rows: Iterable[Row]) -> set[dt.date]:
    """The dates of a query's answer.

    Raises:
        ValueError: the answer has no column of dates.
    """
    return {_date_of(row) for row in rows}


def _date_of(row: Row) -> dt.date:
    if "date" not in row:
        raise ValueError(f"must give the column date; it gives {', '.join(row)}")
    date: object = row["date"]
    if type(date) is not dt.date:
        raise ValueError(f"date must be a DATE; {date!r} is none")
    return date


def _of_rows(rows: Iterable[Row]) -> CalendarCounts:
    """Counts by date of a query's answer.

    Raises:
        ValueError: the answer has other columns or values than dates and counts.
    """
    known: dict[dt.date, Counts] = {}
    for row in rows:
        names = [name for name in row if name != "date"]
        if "date" not in row or not names:
            raise ValueError(f"must give the column date and at least one count; it gives {', '.join(row)}")
        date = _date_of(row)
        for name in names:
            if type(row[name]) is not int or row[name] < 0:
                raise ValueError(f"{name} must be a whole number, 0 or more; {date} has {row[name]!r}")
        if date in known:
            raise ValueError(f"gives {date} twice; add GROUP BY")
        known[date] = {name: row[name] for name in names}
    return known


def _of_file(file: TextIO, path: Path) -> CalendarCounts:
    """Counts by date of a CSV file.

    Raises:
        WarehouseError: naming the line that cannot be used.
    """
    reader = csv.reader(file)
    header = [name.strip() for name in next(reader, [])]
    if not _is_header(header):
        shown = ",".join(header) or "missing"
        line = f"{path}:1: the header must be date and at least one count; it is {shown}"
        raise WarehouseError(line, hint=_CORRECT, permanent=True)
    known: dict[dt.date, Counts] = {}
    for fields in filter(None, reader):
        try:
            date, counts = _of_line(header, fields)
            if date in known:
                raise ValueError(f"{date} is there twice; keep one line")
        except ValueError as error:
            raise WarehouseError(
                f"{path}:{reader.line_num}: {error}", hint=_CORRECT, permanent=True
            ) from error
        known[date] = counts
    return known


def _is_header(names: Sequence[str]) -> bool:
    words = all(re.match(COLUMN, name) for name in names)
    return words and "date" in names and len(names) > 1 and len(set(names)) == len(names)


def _of_line(header: Sequence[str], fields: Sequence[str]) -> tuple[dt.date, Counts]:
    if len(fields) != len(header):
        raise ValueError(f"{','.join(fields)!r} is not {','.join(header)}")
    values = dict(zip(header, (field.strip() for field in fields), strict=True))
    text = values.pop("date")
    try:
        date = dt.date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a date; write it like 2021-10-19") from None
    return date, {name: _whole_number(name, value) for name, value in values.items()}


def _whole_number(name: str, text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise ValueError(f"{name}: {text!r} is not a whole number, 0 or more")
    return int(text)
