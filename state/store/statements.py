"""SQL that several modules of the store share: INSERT with ON CONFLICT, and selecting rows by dates."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable
from functools import cache
from typing import Any

from sqlalchemy import Connection, Row, Select, Table, bindparam, select
from sqlalchemy.dialects import postgresql, sqlite

DENSE = 5
"""Up to this many days per wanted date, reading the whole span is cheaper than a list of dates."""


def upsert(tx: Connection, table: Table) -> sqlite.Insert:
    """An INSERT of the dialect in use, with `on_conflict_do_update` and `on_conflict_do_nothing`."""
    if tx.dialect.name == "postgresql":
        # Both dialects have these clauses; only the names of the types differ.
        return postgresql.insert(table)  # type: ignore[return-value]
    return sqlite.insert(table)


def select_by_dates(tx: Connection, table: Table, wanted: Collection[dt.date]) -> Iterable[Row[Any]]:
    """The rows of some dates. If the dates are dense, also the rows between them: the caller filters."""
    if not wanted:
        return ()
    first, last = min(wanted), max(wanted)
    if (last - first).days < DENSE * len(wanted):
        return tx.execute(_between(table), {"_start": first, "_end": last}).all()
    return tx.execute(_listed(table), {"_dates": list(wanted)}).all()


# Statements are built once: building one costs more than SQLite takes to run it.
@cache
def _between(table: Table) -> Select[Any]:
    return select(table).where(table.c.date.between(bindparam("_start"), bindparam("_end")))


@cache
def _listed(table: Table) -> Select[Any]:
    return select(table).where(table.c.date.in_(bindparam("_dates", expanding=True)))
