"""What was used of each daily budget, and what people have allowed beyond its limit."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from sqlalchemy import Connection, select

from backfilld.state.store.schema import budgets
from backfilld.state.store.sql_helpers import upsert


@dataclass(frozen=True, slots=True)
class Used:
    """Attempts or bytes of one quota day."""

    spent: int = 0
    extra: int = 0


def add(tx: Connection, kind: str, key: str, day: dt.date, *, spent: int = 0, extra: int = 0) -> None:
    """Count what was spent on a day, or allow more of it."""
    new = upsert(tx, budgets).values(kind=kind, key=key, day=day, spent=spent, extra=extra)
    more = {
        "spent": budgets.c.spent + new.excluded.spent,
        "extra": budgets.c.extra + new.excluded.extra,
    }
    tx.execute(new.on_conflict_do_update(index_elements=["kind", "key", "day"], set_=more))


def used(tx: Connection, day: dt.date) -> dict[tuple[str, str], Used]:
    """What each budget had of a day, by kind and key; those of which nothing was used are left out."""
    query = select(budgets).where(budgets.c.day == day)
    return {(row.kind, row.key): Used(row.spent, row.extra) for row in tx.execute(query)}
