"""Backfills: what was asked for, its pause and its end, and what became of every date of it."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Update, bindparam, exists, func, insert, or_, select, update

from backfilld.state.pipeline.phase import FAILED
from backfilld.state.records import BackfillRow
from backfilld.state.rules.date_outcomes import Outcome
from backfilld.state.store import row_mappers
from backfilld.state.store.backfill_or_season_scope import ALL_DATES, TAKEN, DateScope
from backfilld.state.store.index_conditions import IS_RUNNING, IS_WANTED
from backfilld.state.store.schema import attempts, backfill_dates, backfills, dates
from backfilld.state.store.sql_helpers import execute, fetch, fetch_one, insert_row

_ONE = select(backfills).where(backfills.c.id == bindparam("_id"))
_SOME = select(backfills).where(backfills.c.id.in_(bindparam("_ids", expanding=True)))
_DATES = (
    select(func.count().label("n"))
    .select_from(backfill_dates)
    .where(backfill_dates.c.backfill_id == bindparam("_id"))
)
_CREATE = insert(backfills)
_ADD_DATES = insert(backfill_dates)
_RUNNING_ATTEMPTS = select(func.count().label("n")).where(
    attempts.c.backfill_id == bindparam("_id"), IS_RUNNING
)
_LIVE_DATES = _DATES.where(IS_WANTED)


def _has_work(scope: DateScope) -> ColumnElement[bool]:
    """The condition that a backfill wants live dates, or has running attempts, of a scope."""
    wanted = (
        backfill_dates.c.backfill_id == backfills.c.id,
        IS_WANTED,
        scope.contains(backfill_dates.c.date),
    )
    running = (attempts.c.backfill_id == backfills.c.id, IS_RUNNING, scope.contains(attempts.c.date))
    return or_(exists().where(*wanted), exists().where(*running))


_HAS_WORK = _has_work(ALL_DATES)
_ENDED = backfill_dates.c.live == 0
_FAILED_DATES = _DATES.where(
    _ENDED, backfill_dates.c.state == FAILED, backfill_dates.c.outcome != Outcome.CANCELLED.value
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillDateRow:
    """What became of one date of a request."""

    date: dt.date
    answer: str
    reason: str
    verdicts: Mapping[str, int] = field(default_factory=dict)
    """What proved the answer, where something did: how many outputs had which verdict."""
    state: str = ""
    outcome: str = ""
    live: bool = False
    """Whether the backfill still wants the date."""
    awaits_admission: bool = False
    """Whether the date is to be admitted for this request."""
    ended_version: int | None = None
    """The version of the date that it ended with."""


def create(tx: Connection, values: dict[str, object]) -> int:
    """Insert a backfill and return its id."""
    return insert_row(tx, _CREATE, values)


def add_dates(tx: Connection, number: int, answered: Sequence[BackfillDateRow]) -> None:
    """Keep the answer to every requested date."""
    values = [
        {
            "backfill_id": number,
            "date": a.date,
            "answer": a.answer,
            "reason": a.reason,
            "verdicts": json.dumps(a.verdicts) if a.verdicts else "",
            "live": int(a.live),
            "awaits_admission": int(a.awaits_admission),
        }
        for a in answered
    ]
    execute(tx, _ADD_DATES, values)


def get(tx: Connection, number: int) -> BackfillRow | None:
    """One backfill."""
    row = fetch_one(tx, _ONE, {"_id": number})
    return row_mappers.backfill(row) if row else None


def by_key(tx: Connection, key: str) -> tuple[int, str] | None:
    """The id and the request's hash of the backfill that an idempotency key made."""
    query = select(backfills.c.id, backfills.c.request_hash).where(backfills.c.request_key == key)
    row = tx.execute(query).one_or_none()
    return (row.id, row.request_hash) if row else None


def page(tx: Connection, *, below: int | None, limit: int, live: bool | None = None) -> list[BackfillRow]:
    """Up to `limit` backfills, newest first, with ids below `below`; of those with live work, or without."""
    query = select(backfills).order_by(backfills.c.id.desc()).limit(limit)
    if live is not None:
        query = query.where(_HAS_WORK if live else ~_HAS_WORK)
    if below is not None:
        query = query.where(backfills.c.id < below)
    return [row_mappers.backfill(row) for row in tx.execute(query)]


def get_many(tx: Connection, numbers: Sequence[int]) -> dict[int, BackfillRow]:
    """Backfills by id."""
    rows = fetch(tx, _SOME, {"_ids": list(numbers)}) if numbers else ()
    return {row.id: row_mappers.backfill(row) for row in rows}


def change(tx: Connection, number: int, values: dict[str, object]) -> None:
    """Change facts of a backfill."""
    named = {f"_{name}": value for name, value in values.items()}
    execute(tx, _change(tuple(values)), [{**named, "_id": number}])


@cache
def _change(names: tuple[str, ...]) -> Update:
    facts: dict[str, Any] = {name: bindparam(f"_{name}") for name in names}
    return update(backfills).where(backfills.c.id == bindparam("_id")).values(facts)


def live_dates(tx: Connection, number: int) -> int:
    """How many of the dates it wants have not ended."""
    return int(fetch_one(tx, _LIVE_DATES, {"_id": number}).n)


def failed_dates(tx: Connection, number: int) -> int:
    """How many of its dates have failed; those that were cancelled did not."""
    return int(fetch_one(tx, _FAILED_DATES, {"_id": number}).n)


def running_attempts(tx: Connection, number: int) -> int:
    """How many of its attempts run."""
    return int(fetch_one(tx, _RUNNING_ATTEMPTS, {"_id": number}).n)


def status(tx: Connection, row: BackfillRow) -> str:
    """active, pausing, paused, cancelling, cancelled, stopped or finished, derived from the facts."""
    live = live_dates(tx, row.id)
    if row.cancelled_at is not None:
        return "cancelling" if live or running_attempts(tx, row.id) else "cancelled"
    if not live:
        return "finished"
    if row.stopped_at is not None:
        return "stopped"
    if row.paused_at is not None:
        return "pausing" if running_attempts(tx, row.id) else "paused"
    return "active"


def waits_only_for(tx: Connection, number: int, reasons: Collection[str]) -> bool:
    """Whether each of the live dates of a backfill waits for one of some reasons."""
    here = (backfill_dates.c.backfill_id == number, IS_WANTED, dates.c.waiting.not_in(reasons))
    joined = backfill_dates.join(dates, dates.c.date == backfill_dates.c.date)
    return tx.execute(select(dates.c.date).select_from(joined).where(*here).limit(1)).first() is None


def unended(tx: Connection, scope: DateScope = ALL_DATES) -> list[BackfillRow]:
    """The backfills that want live dates, or have running attempts, of a scope."""
    has_work = _HAS_WORK if scope == ALL_DATES else _has_work(scope)
    return [row_mappers.backfill(row) for row in tx.execute(select(backfills).where(has_work))]


def ended_counts(tx: Connection) -> dict[str, int]:
    """How many of all other backfills are finished, and how many are cancelled."""
    was_cancelled = backfills.c.cancelled_at.is_not(None)
    query = select(was_cancelled.label("cancelled"), func.count().label("n")).where(~_HAS_WORK)
    rows = tx.execute(query.group_by(was_cancelled))
    return {"cancelled" if row.cancelled else "finished": row.n for row in rows}


def answers(tx: Connection, number: int) -> dict[str, int]:
    """How many dates of the request got which answer."""
    query = select(backfill_dates.c.answer, func.count().label("n"))
    query = query.where(backfill_dates.c.backfill_id == number).group_by(backfill_dates.c.answer)
    return {row.answer: row.n for row in tx.execute(query)}


def status_counts(tx: Connection, number: int) -> tuple[dict[str, int], dict[str, int]]:
    """Of the enqueued and joined dates: how many are in which state, and how many had which outcome."""
    state = func.coalesce(func.nullif(backfill_dates.c.state, ""), dates.c.state).label("state")
    join = backfill_dates.join(dates, dates.c.date == backfill_dates.c.date)
    query = select(state, backfill_dates.c.outcome, func.count().label("n")).select_from(join)
    query = query.where(backfill_dates.c.backfill_id == number, TAKEN)
    states: dict[str, int] = {}
    outcomes: dict[str, int] = {}
    for row in tx.execute(query.group_by(state, backfill_dates.c.outcome)):
        states[row.state] = states.get(row.state, 0) + row.n
        if row.outcome:
            outcomes[row.outcome] = outcomes.get(row.outcome, 0) + row.n
    return states, outcomes


def dates_page(tx: Connection, number: int, *, after: dt.date | None, limit: int) -> list[BackfillDateRow]:
    """Up to `limit` dates of the request later than `after`, with their answers."""
    query = select(backfill_dates).where(backfill_dates.c.backfill_id == number)
    if after is not None:
        query = query.where(backfill_dates.c.date > after)
    found = tx.execute(query.order_by(backfill_dates.c.date).limit(limit))
    return [
        BackfillDateRow(
            date=r.date,
            answer=r.answer,
            reason=r.reason,
            verdicts=json.loads(r.verdicts) if r.verdicts else {},
            state=r.state,
            outcome=r.outcome,
            live=bool(r.live),
            awaits_admission=bool(r.awaits_admission),
            ended_version=r.ended_version,
        )
        for r in found
    ]


def ended_dates(tx: Connection, number: int, state: str) -> list[dt.date]:
    """Its dates that ended in `state`."""
    here = (backfill_dates.c.backfill_id == number, _ENDED, backfill_dates.c.state == state)
    query = select(backfill_dates.c.date).where(*here).order_by(backfill_dates.c.date)
    return list(tx.execute(query).scalars())
