"""Counts of requested dates and of their verdicts.

Those of everything are kept by the database: reading them costs the same however many dates there are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, and_, case, func, not_, select, true

from backfilld.state.pipeline.phase import DONE, PENDING
from backfilld.state.store.backfill_or_season_scope import ALL_DATES, TAKEN, DateScope
from backfilld.state.store.index_conditions import IS_REGRESSED, IS_STALE
from backfilld.state.store.schema import backfill_dates, check_counts, date_counts
from backfilld.state.store.schema import checks as checks_table
from backfilld.state.store.schema import dates as dates_table
from backfilld.state.store.sql_helpers import fetch

_KEPT_CHECKS = select(check_counts)


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


def dates(tx: Connection, scope: DateScope = ALL_DATES) -> list[DateCount]:
    """Counts of the requested dates. A date that has ended for a backfill counts there as it ended."""
    if scope.backfill is not None:
        return _dates_of_backfill(tx, scope)
    columns = (date_counts.c.season, date_counts.c.state, date_counts.c.outcome, date_counts.c.waiting)
    query = select(*columns, func.sum(date_counts.c.n).label("n")).where(date_counts.c.n > 0)
    if scope.season is not None:
        query = query.where(date_counts.c.season == scope.season)
    return [DateCount(**row._mapping) for row in tx.execute(query.group_by(*columns))]


def _dates_of_backfill(tx: Connection, scope: DateScope) -> list[DateCount]:
    has_ended = backfill_dates.c.state != ""
    columns = (
        dates_table.c.season,
        case((has_ended, backfill_dates.c.state), else_=dates_table.c.state).label("state"),
        case((has_ended, backfill_dates.c.outcome), else_=dates_table.c.outcome).label("outcome"),
        case((has_ended, ""), else_=dates_table.c.waiting).label("waiting"),
    )
    join = backfill_dates.join(dates_table, dates_table.c.date == backfill_dates.c.date)
    here = (backfill_dates.c.backfill_id == scope.backfill, TAKEN)
    query = select(*columns, func.count().label("n")).select_from(join).where(*here)
    if scope.season is not None:
        query = query.where(dates_table.c.season == scope.season)
    return [DateCount(**row._mapping) for row in tx.execute(query.group_by(*columns))]


def checks(tx: Connection, scope: DateScope = ALL_DATES) -> list[CheckCount]:
    """Counts of the checks of requested dates.

    For a scope the cost grows with its dates, or with the other ones where they are fewer.
    """
    if scope == ALL_DATES:
        return _check_counts(_kept_checks(tx))
    inside = scope.contains(dates_table.c.date)
    if 2 * _number(tx, inside) <= _number(tx, true()):
        return _check_counts(_counted_checks(tx, inside))
    counts = _kept_checks(tx)
    counts.subtract(_counted_checks(tx, not_(inside)))
    return _check_counts(counts)


def _check_counts(counts: Counter[tuple[str, str, bool]]) -> list[CheckCount]:
    return [
        CheckCount(processor=processor, verdict=verdict, satisfied=satisfied, n=n)
        for (processor, verdict, satisfied), n in counts.items()
        if n > 0
    ]


def _kept_checks(tx: Connection) -> Counter[tuple[str, str, bool]]:
    rows = fetch(tx, _KEPT_CHECKS)
    return Counter({(row.processor, row.verdict, bool(row.satisfied)): row.n for row in rows})


def _counted_checks(tx: Connection, of_dates: ColumnElement[bool]) -> Counter[tuple[str, str, bool]]:
    """The same for the requested dates that meet a condition, counted now."""
    columns = (checks_table.c.processor, checks_table.c.verdict, checks_table.c.satisfied)
    chosen = select(dates_table.c.date).where(of_dates)
    query = select(*columns, func.count().label("n")).where(checks_table.c.date.in_(chosen))
    rows = tx.execute(query.group_by(*columns))
    return Counter({(row.processor, row.verdict, bool(row.satisfied)): row.n for row in rows})


def _number(tx: Connection, of_dates: ColumnElement[bool]) -> int:
    return tx.execute(select(func.count()).select_from(dates_table).where(of_dates)).scalar_one()


def pending_without_check(
    tx: Connection, processors: Collection[str], scope: DateScope = ALL_DATES
) -> dict[str, int]:
    """How many pending dates have no check of each processor yet.

    Some have one before their admission: those that later dates need, and those that are retried.
    """
    here = (dates_table.c.state == PENDING, scope.contains(dates_table.c.date))
    pending = _number(tx, and_(*here))
    join = dates_table.join(checks_table, checks_table.c.date == dates_table.c.date)
    query = select(checks_table.c.processor, func.count().label("n")).select_from(join).where(*here)
    checked = {row.processor: row.n for row in tx.execute(query.group_by(checks_table.c.processor))}
    return {name: pending - checked.get(name, 0) for name in processors}


def regressed(tx: Connection, scope: DateScope = ALL_DATES) -> int:
    """How many ended dates were found to be complete no longer."""
    return _marked(tx, IS_REGRESSED, scope)


def stale(tx: Connection, scope: DateScope = ALL_DATES) -> int:
    """How many done dates were computed before an earlier one was repaired; costs as much as there are."""
    return _marked(tx, and_(IS_STALE, dates_table.c.state == DONE), scope)


def _marked(tx: Connection, mark: ColumnElement[bool], scope: DateScope) -> int:
    return _number(tx, and_(mark, scope.contains(dates_table.c.date)))
