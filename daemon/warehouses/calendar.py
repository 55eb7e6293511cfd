"""How many games a date has: by the calendar's SQL, by its CSV file, or not counted at all."""

from __future__ import annotations

import csv
import datetime as dt
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TextIO

from backfilld.daemon.warehouses.adapter import QueryError, WarehouseError
from backfilld.daemon.warehouses.sql.backend import Row, SqlBackend
from backfilld.daemon.warehouses.sql.queries import Query, Select, Statement
from backfilld.daemon.warehouses.sql.user_sql import user_sql
from backfilld.state.pipeline.models import Pipeline

CalendarCounts = Mapping[dt.date, int]


class CalendarReader:
    """Games per date, for both warehouses."""

    def __init__(self, pipeline: Pipeline, backend: SqlBackend) -> None:
        query = pipeline.calendar.query
        self._query = Statement(user_sql(query.strip().rstrip(";"))) if query else None
        self._path = pipeline.path.parent / pipeline.calendar.file if pipeline.calendar.file else None
        self._backend = backend
        self._read: tuple[tuple[int, int], CalendarCounts] | None = None

    def games(self, start: dt.date, end: dt.date) -> CalendarCounts:
        """Games of each date that has any, both ends included; nothing where games are not counted.

        Raises:
            WarehouseError: the query was not answered, or the answer or the file makes no sense.
        """
        if self._query:
            known = self._ask(self._query, start, end)
        elif self._path:
            known = self._file(self._path)
        else:
            return {}
        return {date: games for date, games in known.items() if start <= date <= end}

    def _ask(self, query: Statement, start: dt.date, end: dt.date) -> CalendarCounts:
        try:
            sent = Query(selects=(Select(statement=query),), params={"start": start, "end": end})
            return _counted(self._backend.query(sent, purpose="calendar"))
        except QueryError as refusal:
            raise WarehouseError(f"calendar.query was refused: {refusal}") from refusal
        except (TypeError, ValueError) as error:
            raise WarehouseError(f"calendar.query: {error}") from error

    def _file(self, path: Path) -> CalendarCounts:
        """The file's dates, read again when it changed."""
        try:
            known = path.stat()
            stamp = (known.st_mtime_ns, known.st_size)
            if self._read is None or self._read[0] != stamp:
                with path.open(encoding="utf-8-sig", newline="") as file:
                    self._read = (stamp, _parsed(file, path))
            return self._read[1]
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise WarehouseError(f"calendar.file {path} cannot be read: {error}") from error


def _counted(rows: Iterable[Row]) -> CalendarCounts:
    """Games by date of a query's answer.

    Raises:
        ValueError: it is no answer to the question.
    """
    games: dict[dt.date, int] = {}
    for row in rows:
        if "date" not in row or "games" not in row:
            raise ValueError(f"must give the columns date and games; it gives {', '.join(row)}")
        date, count = row["date"], row["games"]
        if type(date) is not dt.date:
            raise ValueError(f"date must be a DATE; {date!r} is none")
        if not isinstance(count, int) or count < 0:
            raise ValueError(f"games must be a number of games; {date} has {count!r}")
        if date in games:
            raise ValueError(f"gives {date} twice; add GROUP BY")
        games[date] = count
    return games


def _parsed(file: TextIO, path: Path) -> CalendarCounts:
    """Games by date of a CSV file.

    Raises:
        WarehouseError: naming the line that cannot be used.
    """
    reader = csv.reader(file)
    header = [name.strip() for name in next(reader, [])]
    if header != ["date", "games"]:
        raise WarehouseError(
            f"{path}:1: the header must be date,games; it is {','.join(header) or 'missing'}"
        )
    games: dict[dt.date, int] = {}
    for fields in filter(None, reader):
        try:
            date, count = _parsed_line(fields)
            if date in games:
                raise ValueError(f"{date} is there twice; keep one line")
        except ValueError as error:
            raise WarehouseError(f"{path}:{reader.line_num}: {error}") from error
        games[date] = count
    return games


def _parsed_line(fields: list[str]) -> tuple[dt.date, int]:
    if len(fields) != 2:
        raise ValueError(f"{','.join(fields)!r} is not date,games")
    date, games = (field.strip() for field in fields)
    try:
        day = dt.date.fromisoformat(date)
    except ValueError:
        raise ValueError(f"{date!r} is not a date; write it like 2021-10-19") from None
    if not games.isascii() or not games.isdigit():
        raise ValueError(f"{games!r} is not a number of games")
    return day, int(games)
