"""Holds: what may not start now, by whom and why. A pause of everything is one."""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, delete, select, update

from state.records import HoldRow
from state.store import rows
from state.store.upsert import insert
from state.tables import holds

EVERYTHING = "all"
WAREHOUSE = "warehouse"
"""Nothing may be asked before its end, and no job may start before an answer came: nobody could check it."""

_ALL = select(holds).order_by(holds.c.since)
# That of the warehouse stays: its end is when to ask again, and only an answer lifts it.
_OVER = _ALL.where(holds.c.kind != WAREHOUSE, holds.c.until <= bindparam("_now"))
_ANY_OVER = _OVER.with_only_columns(holds.c.key).limit(1)


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


def prolong(tx: Connection, kind: str, key: str, *, reason: str, until: float) -> None:
    """Give a hold another reason and end; since when and by whom it was placed stays."""
    here = (holds.c.kind == kind, holds.c.key == key)
    tx.execute(update(holds).where(*here).values(reason=reason, until=until))


def lift(tx: Connection, kind: str, key: str) -> bool:
    """Lift a hold; False when there was none."""
    return tx.execute(delete(holds).where(holds.c.kind == kind, holds.c.key == key)).rowcount == 1


def any_over(tx: Connection, now: float) -> bool:
    """Whether the time of any hold is over."""
    return tx.execute(_ANY_OVER, {"_now": now}).first() is not None


def lift_over(tx: Connection, now: float) -> list[HoldRow]:
    """Lift the holds whose time is over, and return them."""
    over = [rows.hold(row) for row in tx.execute(_OVER, {"_now": now})]
    for hold in over:
        lift(tx, hold.kind, hold.key)
    return over
