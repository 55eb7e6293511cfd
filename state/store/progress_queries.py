"""Reads that only people need: pages of attempts, the pace of the work, its latest progress."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, func, not_, or_, select, true

from backfilld.state.records import AttemptRow, AttemptStatus, Mark
from backfilld.state.rules.date_outcome import Outcome
from backfilld.state.rules.interval_sets import Interval
from backfilld.state.rules.verdict import Verdict
from backfilld.state.store import row_mappers
from backfilld.state.store.attempt_verdicts import LEFT_WRONG, followed_by, has_reason
from backfilld.state.store.attempts import running
from backfilld.state.store.date_scope import ALL_DATES, DateScope
from backfilld.state.store.dates import matching
from backfilld.state.store.index_conditions import ENDED_WELL
from backfilld.state.store.schema import attempt_dates, attempts, backfill_dates, dates, transitions

HAS_FAILED = and_(
    attempts.c.status.not_in([AttemptStatus.RUNNING.value, AttemptStatus.CANCELLED.value]),
    or_(attempts.c.exit_code.is_(None), not_(ENDED_WELL), followed_by(LEFT_WRONG)),
)
"""Condition: the attempt was not cancelled, and its job did not exit with 0 or left something wrong."""

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


def attempts_of_backfill(tx: Connection, backfill_id: int, limit: int) -> list[AttemptRow]:
    """Up to `limit` of the latest attempts that count for a backfill, newest first."""
    query = select(attempts).where(attempts.c.backfill_id == backfill_id)
    return [row_mappers.attempt(row) for row in tx.execute(query.order_by(attempts.c.id.desc()).limit(limit))]


def covers(scope: DateScope) -> ColumnElement[bool]:
    """The condition that an attempt has a date of a scope."""
    if scope == ALL_DATES:
        return true()
    ids = select(attempt_dates.c.attempt_id).where(scope.contains(attempt_dates.c.date))
    return attempts.c.id.in_(ids)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptFilter:
    """What an attempt must match; empty values match every attempt."""

    statuses: Collection[AttemptStatus] = ()
    failed: bool | None = None
    """Only those that failed, or only those that did not (`HAS_FAILED`)."""
    processor: str = ""
    verdicts: Collection[Verdict] = ()
    reason: str = ""
    """A part of how the job ended or of what its verdict rests on, in any case of letters."""
    scope: DateScope = ALL_DATES

    def conditions(self) -> Iterator[ColumnElement[bool]]:
        """The conditions on a row of `attempts`."""
        yield covers(self.scope)
        if self.statuses:
            yield attempts.c.status.in_([status.value for status in self.statuses])
        if self.failed is not None:
            yield HAS_FAILED if self.failed else not_(HAS_FAILED)
        if self.processor:
            yield attempts.c.processor == self.processor
        if self.verdicts:
            yield followed_by([verdict.value for verdict in self.verdicts])
        if self.reason:
            yield or_(
                attempts.c.detail.icontains(self.reason, autoescape=True),
                attempts.c.tail.icontains(self.reason, autoescape=True),
                has_reason(self.reason),
            )


def attempts_page(
    tx: Connection, wanted: AttemptFilter, *, below: int | None, limit: int
) -> list[AttemptRow]:
    """Up to `limit` attempts, newest first, with ids below `below`."""
    if wanted == AttemptFilter(statuses=wanted.statuses, processor=wanted.processor) and set(
        wanted.statuses
    ) == {AttemptStatus.RUNNING}:
        found = (row for row in reversed(running(tx)) if below is None or row.id < below)
        return [row for row in found if wanted.processor in ("", row.processor)][:limit]
    query = select(attempts).where(*wanted.conditions()).order_by(attempts.c.id.desc()).limit(limit)
    if below is not None:
        query = query.where(attempts.c.id < below)
    return [row_mappers.attempt(row) for row in tx.execute(query)]


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
