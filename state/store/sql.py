"""Reading the rows of dates that lie close together or far apart, as costs least."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable
from functools import cache
from typing import Any

from sqlalchemy import Connection, Row, Select, Table, bindparam, select

DENSE = 5
"""In a span of up to so many days for each date wanted, reading the whole span costs less than a list."""


def select_by_dates(tx: Connection, table: Table, wanted: Collection[dt.date]) -> Iterable[Row[Any]]:
    """The rows of dates; of dates that lie close together, also all rows between them."""
    if not wanted:
        return ()
    first, last = min(wanted), max(wanted)
    if (last - first).days < DENSE * len(wanted):
        return tx.execute(_between(table), {"_start": first, "_end": last})
    return tx.execute(_listed(table), {"_dates": list(wanted)})


# Statements are built once: building one costs more than SQLite takes to run it.
@cache
def _between(table: Table) -> Select[Any]:
    return select(table).where(table.c.date.between(bindparam("_start"), bindparam("_end")))


@cache
def _listed(table: Table) -> Select[Any]:
    return select(table).where(table.c.date.in_(bindparam("_dates", expanding=True)))
