"""What was used of each daily budget, and what people have allowed beyond its limit."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import cache

from sqlalchemy import Connection, Insert, bindparam, select

from backfilld.state.store.schema import budgets
from backfilld.state.store.sql_helpers import execute, fetch, upsert_in

_OF_DAY = select(budgets).where(budgets.c.day == bindparam("_day"))


@dataclass(frozen=True, slots=True)
class Used:
    """Attempts or bytes of one quota day."""

    spent: int = 0
    extra: int = 0


def add(tx: Connection, kind: str, key: str, day: dt.date, *, spent: int = 0, extra: int = 0) -> None:
    """Count what was spent on a day, or allow more of it."""
    values = {"kind": kind, "key": key, "day": day, "spent": spent, "extra": extra}
    execute(tx, _add(tx.dialect.name), [values])


@cache
def _add(dialect: str) -> Insert:
    new = upsert_in(dialect, budgets)
    more = {
        "spent": budgets.c.spent + new.excluded.spent,
        "extra": budgets.c.extra + new.excluded.extra,
    }
    return new.on_conflict_do_update(index_elements=["kind", "key", "day"], set_=more)


def used(tx: Connection, day: dt.date) -> dict[tuple[str, str], Used]:
    """What each budget had of a day, by kind and key; those of which nothing was used are left out."""
    return {(row.kind, row.key): Used(row.spent, row.extra) for row in fetch(tx, _OF_DAY, {"_day": day})}
