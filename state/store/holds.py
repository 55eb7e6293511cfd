"""Holds: what may not start now, by whom and why. A pause of everything is one."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, bindparam, delete, or_, select, update

from backfilld.state.records import HoldRow
from backfilld.state.store import row_mappers
from backfilld.state.store.schema import holds
from backfilld.state.store.sql_helpers import execute, fetch, fetch_one, upsert

EVERYTHING = "all"
WAREHOUSE = "warehouse"
"""The hold of the warehouse. Until it ends no query is sent. No job starts before a query succeeds: its
result could not be verified."""

_ALL = select(holds).order_by(holds.c.since)
_NOW: ColumnElement[float] = bindparam("_now")
# The warehouse's hold stays: its end is when to ask again, and an answer lifts it.
_OVER = _ALL.where(holds.c.kind != WAREHOUSE, holds.c.until <= _NOW)
_IN_FORCE = select(holds.c.key).where(
    holds.c.kind == bindparam("_kind"), or_(holds.c.until.is_(None), holds.c.until > _NOW)
)
_RELEASE = delete(holds).where(holds.c.kind == bindparam("_kind"), holds.c.key == bindparam("_key"))
_RELEASE_OF = _RELEASE.where(holds.c.actor == bindparam("_actor"))


def all_holds(tx: Connection) -> list[HoldRow]:
    """All holds, oldest first."""
    return [row_mappers.hold(row) for row in fetch(tx, _ALL)]


def place(
    tx: Connection,
    kind: str,
    key: str,
    *,
    reason: str,
    actor: str,
    now: float,
    until: float | None = None,
    absolute: bool = False,
) -> bool:
    """Place a hold; False when it was there already, which is then left as it is.

    `absolute`: `until` is a time of the calendar, such as midnight, which a clock step does not move.
    """
    statement = upsert(tx, holds).values(
        kind=kind, key=key, reason=reason, actor=actor, since=now, until=until, absolute=int(absolute)
    )
    # Without it, SQLAlchemy keeps no count of inserted rows on PostgreSQL.
    counted = {"preserve_rowcount": True}
    return tx.execute(statement.on_conflict_do_nothing(), execution_options=counted).rowcount == 1


def take_over(tx: Connection, kind: str, key: str, *, reason: str, actor: str, of: str) -> bool:
    """Make a hold that `of` placed that of another actor, without an end. Returns False if there is none."""
    here = (holds.c.kind == kind, holds.c.key == key, holds.c.actor == of)
    values = {"reason": reason, "actor": actor, "until": None, "absolute": 0}
    return tx.execute(update(holds).where(*here).values(values)).rowcount == 1


def prolong(
    tx: Connection, kind: str, key: str, *, actor: str, reason: str, until: float, absolute: bool = False
) -> None:
    """Give a hold of an actor another reason and end. The hold of another actor stays as it is."""
    here = (holds.c.kind == kind, holds.c.key == key, holds.c.actor == actor)
    tx.execute(update(holds).where(*here).values(reason=reason, until=until, absolute=int(absolute)))


def release(tx: Connection, kind: str, key: str, *, actor: str | None = None) -> bool:
    """Release a hold, with `actor` only if that actor placed it. Returns False if there was none."""
    here = {"_kind": kind, "_key": key}
    if actor is None:
        return execute(tx, _RELEASE, [here]) == 1
    return execute(tx, _RELEASE_OF, [{**here, "_actor": actor}]) == 1


def in_force(tx: Connection, kind: str, now: float) -> bool:
    """Whether there is a hold of a kind whose time is not over."""
    return fetch_one(tx, _IN_FORCE, {"_kind": kind, "_now": now}) is not None


def release_expired(tx: Connection, now: float) -> list[HoldRow]:
    """Lift the holds whose time is over, and return them."""
    over = [row_mappers.hold(row) for row in fetch(tx, _OVER, {"_now": now})]
    for hold in over:
        release(tx, hold.kind, hold.key)
    return over
