"""The grid: the verdict of every (processor, date) of a range, in one query."""

from __future__ import annotations

import datetime as dt
from typing import NamedTuple

from sqlalchemy import Connection, select

from backfilld.state.store.attempts import SECONDS_PER_DATE
from backfilld.state.store.schema import attempt_dates, attempts, checks


class GridCell(NamedTuple):
    """One (processor, date): its latest verdict, whether it lets the date pass, and the running attempt."""

    date: dt.date
    processor: str
    verdict: str
    satisfied: int
    attempt_id: int | None
    asked_at: float | None


def cells(tx: Connection, start: dt.date, end: dt.date) -> list[GridCell]:
    """The checks from `start` to `end`, both included, by date."""
    columns = [checks.c[name] for name in GridCell._fields]
    here = checks.c.date.between(start, end)
    return [GridCell(*row) for row in tx.execute(select(*columns).where(here).order_by(checks.c.date))]


class Figure(NamedTuple):
    """One date of a processor: rows and verdict, and the seconds per date of its latest ended attempt."""

    date: dt.date
    rows: int | None
    verdict: str
    seconds: float | None


def figures(tx: Connection, processor: str, start: dt.date, end: dt.date) -> list[Figure]:
    """The figures of a processor from `start` to `end`, both included, oldest first."""
    lengths = (
        select(attempt_dates.c.date, SECONDS_PER_DATE)
        .join(attempts, attempts.c.id == attempt_dates.c.attempt_id)
        .where(
            attempts.c.processor == processor,
            attempts.c.ended_at.is_not(None),
            attempt_dates.c.date.between(start, end),
        )
        .order_by(attempts.c.id)
    )
    seconds = {row[0]: float(row[1]) for row in tx.execute(lengths)}
    query = select(checks.c.date, checks.c.rows, checks.c.verdict).where(
        checks.c.processor == processor, checks.c.date.between(start, end)
    )
    return [Figure(*row, seconds.get(row.date)) for row in tx.execute(query.order_by(checks.c.date))]
