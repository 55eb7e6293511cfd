"""Reads that only people need: when dates and jobs ended, the latest progress, the calendar of all dates."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, func, select

from backfilld.state.records import Mark
from backfilld.state.rules.date_outcomes import Outcome
from backfilld.state.rules.interval_sets import Interval
from backfilld.state.store.attempt_lists import covers
from backfilld.state.store.backfill_or_season_scope import ALL_DATES, DateScope
from backfilld.state.store.dates import matching
from backfilld.state.store.schema import attempts, backfill_dates, dates, transitions

_WITHOUT_WORK = (Outcome.NOT_EXPECTED.value, Outcome.CANCELLED.value)


class Cell(NamedTuple):
    """One date in the calendar of all dates; `outcome` is empty while it is live."""

    date: dt.date
    state: str
    outcome: str


def latest_ends(
    tx: Connection, since: float, sample: int, scope: DateScope = ALL_DATES
) -> tuple[list[float], bool]:
    """When the latest `sample` dates ended, after `since` and oldest first, and whether there may be more.

    Dates on which nothing was expected, and cancelled ones, ended without their work and are left out.
    """
    query = select(dates.c.ended_at, dates.c.outcome).where(
        dates.c.ended_at > since, scope.contains(dates.c.date)
    )
    latest = tx.execute(query.order_by(dates.c.ended_at.desc()).limit(sample)).all()
    worked = [row.ended_at for row in reversed(latest) if row.outcome not in _WITHOUT_WORK]
    return worked, len(latest) == sample


def latest_jobs(
    tx: Connection, since: float, now: float, sample: int, scope: DateScope = ALL_DATES
) -> list[Interval]:
    """When the latest `sample` attempts of a scope ran that ended after `since`, or that run until `now`."""
    running_now = select(attempts.c.started_at).where(attempts.c.ended_at.is_(None), covers(scope))
    begun = [(at, max(at, now)) for at in tx.scalars(running_now)]
    query = select(attempts.c.started_at, attempts.c.ended_at).where(
        attempts.c.ended_at > since, covers(scope)
    )
    query = query.order_by(attempts.c.ended_at.desc()).limit(max(sample - len(begun), 0))
    return begun + [(row.started_at, row.ended_at) for row in tx.execute(query)]


def ends_of_backfill(tx: Connection, backfill_id: int) -> list[float]:
    """When the dates of a backfill ended, oldest first, without those that ended without their work."""
    ended = and_(
        transitions.c.date == backfill_dates.c.date, transitions.c.version == backfill_dates.c.ended_version
    )
    query = select(transitions.c.at).select_from(backfill_dates.join(transitions, ended))
    here = (backfill_dates.c.backfill_id == backfill_id, backfill_dates.c.outcome.not_in(_WITHOUT_WORK))
    return list(tx.scalars(query.where(*here).order_by(transitions.c.at)))


def ends_version(tx: Connection, backfill_id: int) -> str:
    """A word that differs whenever a date of a backfill has ended, also where it had ended so before."""
    versions = backfill_dates.c.ended_version
    query = select(func.count(versions), func.sum(versions))
    ended, moves = tx.execute(query.where(backfill_dates.c.backfill_id == backfill_id)).one()
    return f"{ended}-{moves or 0}"


def number_of_dates(
    tx: Connection,
    *,
    start: dt.date,
    end: dt.date,
    states: Collection[str],
    mark: Mark | None,
    more: Iterable[ColumnElement[bool]] = (),
) -> int:
    """How many dates from `start` to `end` match, as in `dates.page`."""
    query = select(func.count()).select_from(dates).where(*matching(start, end, states, mark), *more)
    return int(tx.execute(query).scalar_one())


def last_progress(tx: Connection, scope: DateScope = ALL_DATES, sample: int = 1000) -> float | None:
    """When a date, or an attempt with code 0 among the latest `sample`, ended last; None without any."""
    latest = (
        select(attempts.c.ended_at, attempts.c.exit_code)
        .where(attempts.c.ended_at.is_not(None), covers(scope))
        .order_by(attempts.c.ended_at.desc())
        .limit(sample)
        .subquery()
    )
    good = select(func.max(latest.c.ended_at)).where(latest.c.exit_code == 0)
    latest_end = select(func.max(dates.c.ended_at)).where(scope.contains(dates.c.date))
    ends = (tx.execute(latest_end).scalar(), tx.execute(good).scalar())
    return max((at for at in ends if at is not None), default=None)


def calendar_version(tx: Connection) -> str:
    """A word that differs whenever a date was added or has moved: every move adds one to a date's version."""
    query = select(func.count(), func.sum(dates.c.version), func.max(dates.c.entered_at))
    count, moves, latest = tx.execute(query.select_from(dates)).one()
    return f"{count}-{moves or 0}-{latest or 0:.6f}"


def calendar(tx: Connection, start: dt.date = dt.date.min, end: dt.date = dt.date.max) -> list[Cell]:
    """Where every date from `start` to `end` stands, oldest first: three columns, a few milliseconds."""
    query = select(dates.c.date, dates.c.state, dates.c.outcome).where(dates.c.date.between(start, end))
    query = query.order_by(dates.c.date)
    return [Cell(*row) for row in tx.execute(query)]
