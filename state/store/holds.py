"""Holds: what may not start now, by whom and why. A pause of everything is one."""

from __future__ import annotations

from sqlalchemy import Connection, delete, select

from state.records import HoldRow
from state.store import rows
from state.store.upsert import insert
from state.tables import holds

EVERYTHING = "all"

_ALL = select(holds).order_by(holds.c.since)


def everything(tx: Connection) -> list[HoldRow]:
    """All holds, oldest first."""
    return [rows.hold(row) for row in tx.execute(_ALL)]


def place(
    tx: Connection, kind: str, key: str, *, reason: str, actor: str, now: float, until: float | None = None
) -> bool:
    """Place a hold; False when it was there already, which is then left as it is."""
    statement = insert(tx, holds).values(
        kind=kind, key=key, reason=reason, actor=actor, since=now, until=until
    )
    return tx.execute(statement.on_conflict_do_nothing()).rowcount == 1


def lift(tx: Connection, kind: str, key: str) -> bool:
    """Lift a hold; False when there was none."""
    return tx.execute(delete(holds).where(holds.c.kind == kind, holds.c.key == key)).rowcount == 1


def lift_expired(tx: Connection, now: float) -> list[HoldRow]:
    """Lift the holds whose time is over, and return them."""
    over = [hold for hold in everything(tx) if hold.until is not None and hold.until <= now]
    for hold in over:
        lift(tx, hold.kind, hold.key)
    return over
