"""Dates: reading them, what they wait for, and when the engine evaluates them again."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, and_, bindparam, func, or_, select, update

from backfilld.state.pipeline.phase import DONE, PENDING
from backfilld.state.records import DateRow, Mark
from backfilld.state.rules.date_outcomes import Outcome
from backfilld.state.rules.wait_reason import WaitReason, hiding
from backfilld.state.store import row_mappers
from backfilld.state.store.backfill_dates import WANTED_DATES
from backfilld.state.store.backfill_or_season_scope import ALL_DATES, DateScope
from backfilld.state.store.index_conditions import IS_REGRESSED, IS_STALE
from backfilld.state.store.schema import checks, dates
from backfilld.state.store.sql_helpers import execute, fetch, fetch_one, select_by_dates

IMMEDIATELY = 0.0
"""Due before all dates that merely wait for their turn: something has just happened to this one."""

_LIVE = dates.c.ended_at.is_(None)
_MARKED = {Mark.REGRESSED: IS_REGRESSED, Mark.STALE: and_(IS_STALE, dates.c.state == DONE)}

# Statements are built once: building one costs more than SQLite takes to run it.
_THIS = dates.c.date == bindparam("_date")
_AS_READ = (_THIS, dates.c.version == bindparam("_version"))
_GET = select(dates).where(_THIS)
_IS_DUE = dates.c.due_at <= bindparam("_now")
_DUE = (
    select(dates)
    .where(_IS_DUE)
    .order_by(dates.c.due_at, dates.c.priority.desc(), dates.c.date)
    .limit(bindparam("_limit"))
)
_WAITS = dates.c.waiting == bindparam("_waiting")
_LATER = dates.c.date > bindparam("_after")
_FIRST_WAITING = select(dates).where(_WAITS, _LATER).order_by(dates.c.date).limit(1)
_FIRST = select(func.min(dates.c.date))
_SPAN_WAITING = select(func.min(dates.c.date), func.max(dates.c.date)).where(_WAITS)
_PARK = (
    update(dates)
    .where(*_AS_READ)
    .values(waiting=bindparam("_waiting"), waiting_text=bindparam("_text"), due_at=bindparam("_due_at"))
)
_ALL_LIVE = select(dates).where(_LIVE)
_WANTED_BY = select(dates).where(dates.c.date.in_(WANTED_DATES)).order_by(dates.c.date)
_EXPECTED_AND_DONE = (
    select(dates.c.date)
    .where(dates.c.state == DONE, dates.c.outcome != Outcome.NOT_EXPECTED.value)
    .order_by(dates.c.date)
)
_NOT_EXPECTED_OR_REGRESSED = select(dates.c.date).where(
    or_(and_(dates.c.state == DONE, dates.c.outcome == Outcome.NOT_EXPECTED.value), IS_REGRESSED)
)
_IN_UNKNOWN_STATES = select(dates).where(dates.c.state.not_in(bindparam("_states", expanding=True)))
_LIVE_SPAN = select(func.min(dates.c.date), func.max(dates.c.date)).where(_LIVE)
_SET_SEASON = update(dates).where(_THIS).values(season=bindparam("_season"))
_WAKE_LIVE = update(dates).where(_LIVE).values(due_at=bindparam("_at"))
_WAKE_WANTED = _WAKE_LIVE.where(dates.c.date.in_(WANTED_DATES))
_WAKE_WAITING = _WAKE_LIVE.where(dates.c.waiting.in_(bindparam("_waits", expanding=True)))
_WAKE = update(dates).where(_LIVE, _THIS).values(due_at=bindparam("_at"))
_WAKE_BY = (
    update(dates)
    .where(_LIVE, _THIS, or_(dates.c.due_at.is_(None), dates.c.due_at > bindparam("_at")))
    .values(due_at=bindparam("_at"))
)
_CHECKS = select(func.count()).select_from(checks).where(checks.c.date == dates.c.date).correlate(dates)
_KNOWN = _CHECKS.where(checks.c.processor.in_(bindparam("_processors", expanding=True)))
_SATISFIED = _CHECKS.where(
    checks.c.processor.in_(bindparam("_before", expanding=True)), checks.c.satisfied == 1
)
_OUT_OF_PLACE = select(dates).where(
    dates.c.state == bindparam("_state"),
    or_(
        _KNOWN.scalar_subquery() < bindparam("_known"),
        _SATISFIED.scalar_subquery() < bindparam("_satisfied"),
    ),
)
_WAKE_ADMITTED = (
    update(dates)
    .where(_LIVE, dates.c.state != PENDING, _LATER, dates.c.date <= bindparam("_until"))
    .values(due_at=bindparam("_now"))
)


def get(tx: Connection, date: dt.date) -> DateRow | None:
    """One date, or None if it was never enqueued."""
    row = fetch_one(tx, _GET, {"_date": date})
    return row_mappers.date(row) if row else None


def get_many(tx: Connection, wanted: Collection[dt.date]) -> dict[dt.date, DateRow]:
    """Those of the dates that were ever enqueued."""
    return {row.date: row_mappers.date(row) for row in select_by_dates(tx, dates, wanted)}


def done_among(tx: Connection, wanted: Collection[dt.date]) -> set[dt.date]:
    """Those of the dates that are done."""
    here = (dates.c.state == DONE, dates.c.date.between(min(wanted), max(wanted)))
    return set(tx.scalars(select(dates.c.date).where(*here))).intersection(wanted)


def page(
    tx: Connection,
    *,
    start: dt.date,
    end: dt.date,
    states: Collection[str] = (),
    mark: Mark | None = None,
    more: Iterable[ColumnElement[bool]] = (),
    limit: int,
) -> list[DateRow]:
    """Up to `limit` dates from `start` to `end`, both included, that match, oldest first."""
    here = (*matching(start, end, states, mark), *more)
    query = select(dates).where(*here).order_by(dates.c.date).limit(limit)
    return [row_mappers.date(row) for row in tx.execute(query)]


def matching(
    start: dt.date, end: dt.date, states: Collection[str], mark: Mark | None
) -> Iterator[ColumnElement[bool]]:
    """Conditions of dates from `start` to `end`, in one of the states and with the mark, where given."""
    yield dates.c.date.between(start, end)
    if states:
        yield dates.c.state.in_(states)
    if mark is not None:
        yield _MARKED[mark]


def due(tx: Connection, now: float, limit: int) -> list[DateRow]:
    """Dates to be looked at now."""
    return [row_mappers.date(row) for row in fetch(tx, _DUE, {"_now": now, "_limit": limit})]


def live(tx: Connection) -> list[DateRow]:
    """All dates that have not ended."""
    return [row_mappers.date(row) for row in tx.execute(_ALL_LIVE)]


def wanted_by(tx: Connection, backfill_id: int) -> list[DateRow]:
    """The live dates that a backfill wants, oldest first."""
    return [row_mappers.date(row) for row in fetch(tx, _WANTED_BY, {"_backfill": backfill_id})]


def live_span(tx: Connection) -> tuple[dt.date, dt.date] | None:
    """The first and the last live date; None without any."""
    ((first, last),) = fetch(tx, _LIVE_SPAN)
    return (first, last) if first is not None else None


def states_between(tx: Connection, start: dt.date, end: dt.date) -> dict[dt.date, str]:
    """The states of the dates from `start` to `end`, both included, that were ever enqueued."""
    query = select(dates.c.date, dates.c.state).where(dates.c.date.between(start, end))
    return {row.date: row.state for row in tx.execute(query)}


def expected_and_done(tx: Connection) -> list[dt.date]:
    """All done dates on which something was expected, oldest first."""
    return [row.date for row in fetch(tx, _EXPECTED_AND_DONE)]


def not_expected_or_regressed(tx: Connection) -> list[dt.date]:
    """All done dates on which nothing was expected, or which are no longer complete."""
    return [row.date for row in fetch(tx, _NOT_EXPECTED_OR_REGRESSED)]


def span_waiting(tx: Connection, waiting: str) -> tuple[dt.date, dt.date] | None:
    """The first and the last date that wait for one thing; None when none does."""
    ((first, last),) = fetch(tx, _SPAN_WAITING, {"_waiting": waiting})
    return (first, last) if first is not None else None


def waiting_for(tx: Connection, waiting: str, limit: int, scope: DateScope = ALL_DATES) -> list[DateRow]:
    """Up to `limit` live dates of a scope that wait for one thing, oldest first."""
    query = select(dates).where(_WAITS, scope.contains(dates.c.date)).order_by(dates.c.date).limit(limit)
    return [row_mappers.date(row) for row in tx.execute(query, {"_waiting": waiting})]


def first(tx: Connection) -> dt.date | None:
    """The first date that was ever enqueued; None without any."""
    (earliest,) = fetch(tx, _FIRST)
    found: dt.date | None = earliest[0]
    return found


def span(tx: Connection) -> tuple[dt.date, dt.date] | None:
    """The first and the last date that was ever enqueued; None without any."""
    first, last = tx.execute(select(func.min(dates.c.date), func.max(dates.c.date))).one()
    return (first, last) if first is not None else None


def first_waiting(tx: Connection, waiting: str, after: dt.date) -> DateRow | None:
    """The first date later than `after` that waits for one thing; None when none does."""
    found = fetch_one(tx, _FIRST_WAITING, {"_waiting": waiting, "_after": after})
    return row_mappers.date(found) if found else None


def reassign(tx: Connection, wanted: Collection[dt.date], backfill_id: int, priority: int) -> None:
    """Let a newer backfill hold dates."""
    values = [{"_date": date} for date in wanted]
    if values:
        here = update(dates).where(_THIS)
        tx.execute(here.values(backfill_id=backfill_id, priority=priority), values)


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitStatus:
    """What a live date waits for, as its row was read, and when to look again."""

    row: DateRow
    waiting: str
    text: str = ""
    due_at: float | None = None


def set_waiting(tx: Connection, parked: Iterable[WaitStatus]) -> None:
    """Note what dates wait for; whichever moved meanwhile stays as it is."""
    values = [
        {
            "_date": one.row.date,
            "_version": one.row.version,
            "_waiting": one.waiting,
            "_text": one.text,
            "_due_at": one.due_at,
        }
        for one in parked
    ]
    execute(tx, _PARK, values)


def set_season(tx: Connection, seasons: Iterable[tuple[dt.date, str]]) -> None:
    """Note the season of dates."""
    values = [{"_date": date, "_season": season} for date, season in seasons]
    execute(tx, _SET_SEASON, values)


def make_due(tx: Connection, now: float) -> None:
    """Have all live dates looked at now."""
    execute(tx, _WAKE_LIVE, [{"_at": now}])


def make_dates_due(tx: Connection, wanted: Iterable[dt.date], at: float) -> None:
    """Have some dates looked at, now or IMMEDIATELY, where they are live."""
    values = [{"_date": date, "_at": at} for date in wanted]
    execute(tx, _WAKE, values)


def make_dates_due_by(tx: Connection, wanted: Iterable[dt.date], at: float) -> None:
    """Make some dates due at `at`, where they are live and not due before."""
    execute(tx, _WAKE_BY, [{"_date": date, "_at": at} for date in wanted])


def make_backfill_due(tx: Connection, backfill_id: int, now: float) -> int:
    """Make all live dates due that a backfill wants."""
    return execute(tx, _WAKE_WANTED, [{"_backfill": backfill_id, "_at": now}])


def make_waiting_due(tx: Connection, waiting: WaitReason, now: float) -> None:
    """Make the dates due that wait for one thing, or of which a processor may wait for it."""
    execute(tx, _WAKE_WAITING, [{"_waits": [reason.value for reason in hiding(waiting)], "_at": now}])


def make_admitted_due(tx: Connection, now: float, *, after: dt.date, until: dt.date) -> None:
    """Make admitted live dates due: those later than `after`, up to `until`."""
    execute(tx, _WAKE_ADMITTED, [{"_now": now, "_after": after, "_until": until}])


def in_unknown_states(tx: Connection, known: Collection[str]) -> list[DateRow]:
    """Dates whose state the pipeline file no longer has."""
    return [row_mappers.date(row) for row in fetch(tx, _IN_UNKNOWN_STATES, {"_states": list(known)})]


def out_of_place(
    tx: Connection, state: str, before: Collection[str], processors: Collection[str]
) -> list[DateRow]:
    """Dates in a state that lack a check of `processors`, or a satisfied one of those `before` it."""
    names = {"_before": list(before), "_processors": list(processors)}
    counts = {"_known": len(processors), "_satisfied": len(before)}
    return [row_mappers.date(row) for row in fetch(tx, _OUT_OF_PLACE, {"_state": state, **names, **counts})]
