"""Counts of dates and verdicts, kept by the database: reading them costs the same however many there are."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from backfilld.state.pipeline.phase import DONE
from backfilld.state.store.schema import IS_REGRESSED, IS_STALE, check_counts, date_counts
from backfilld.state.store.schema import dates as dates_table


@dataclass(frozen=True, slots=True, kw_only=True)
class DateCount:
    """How many dates share a season, state, outcome and wait."""

    season: str
    state: str
    outcome: str
    waiting: str
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckCount:
    """How many dates share a verdict for a processor."""

    processor: str
    verdict: str
    satisfied: bool
    n: int


def dates(tx: Connection) -> list[DateCount]:
    """Counts of all dates."""
    columns = (date_counts.c.season, date_counts.c.state, date_counts.c.outcome, date_counts.c.waiting)
    query = (
        select(*columns, func.sum(date_counts.c.n).label("n")).where(date_counts.c.n > 0).group_by(*columns)
    )
    return [DateCount(**row._mapping) for row in tx.execute(query)]


def checks(tx: Connection) -> list[CheckCount]:
    """Counts of all checks."""
    query = select(check_counts).where(check_counts.c.n > 0)
    return [CheckCount(**{**row._mapping, "satisfied": bool(row.satisfied)}) for row in tx.execute(query)]


def regressed(tx: Connection) -> int:
    """How many ended dates were found to be complete no longer."""
    return tx.execute(select(func.count()).select_from(dates_table).where(IS_REGRESSED)).scalar_one()


def stale(tx: Connection) -> int:
    """How many done dates were computed before an earlier one was repaired; costs as much as there are."""
    here = (IS_STALE, dates_table.c.state == DONE)
    return tx.execute(select(func.count()).select_from(dates_table).where(*here)).scalar_one()
