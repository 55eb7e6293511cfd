"""Which dates have a partition of their own, by the bounds of a table's partitions."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Collection, Iterator, Mapping

from backfilld.daemon.warehouses.postgresql.backend import Postgresql

_BOUNDS = """
SELECT pg_get_partkeydef(p.oid) AS key, pg_get_expr(c.relpartbound, c.oid) AS bound
FROM pg_class p JOIN pg_namespace n ON n.oid = p.relnamespace
LEFT JOIN pg_inherits i ON i.inhparent = p.oid LEFT JOIN pg_class c ON c.oid = i.inhrelid
WHERE n.nspname = %(schema)s AND p.relname = %(table)s AND p.relkind = 'p'
"""
_DATE = r"'(\d{4}-\d\d-\d\d)(?: 00:00:00)?'"
_RANGE = re.compile(rf"FOR VALUES FROM \({_DATE}\) TO \({_DATE}\)")
_LIST = re.compile(rf"FOR VALUES IN \({_DATE}\)")


def existing_partitions(
    backend: Postgresql, table: str, column: str, dates: Collection[dt.date]
) -> Mapping[dt.date, bool]:
    """Whether each date has a partition of its own.

    Dates in a partition of several dates are left out, as are all of a table that is not partitioned by the
    column.

    Raises:
        QueryError: the catalog may not be read.
        WarehouseError: nothing can be queried now.
    """
    *_, schema, name = table.split(".")
    rows = backend.metadata(_BOUNDS, {"schema": schema, "table": name})
    keys = {f"{kind} ({word})" for kind in ("RANGE", "LIST") for word in (column, f'"{column}"')}
    if not rows or rows[0]["key"] not in keys:
        return {}
    spans = [span for row in rows for span in _spans(str(row["bound"] or ""))]
    single = {first for first, last in spans if first == last}
    shared = {date for date in dates if any(first < last and first <= date <= last for first, last in spans)}
    return {date: date in single for date in dates if date not in shared}


def _spans(bound: str) -> Iterator[tuple[dt.date, dt.date]]:
    """The first and the last date of a partition; the default partition has none."""
    if match := _LIST.fullmatch(bound):
        date = dt.date.fromisoformat(match[1])
        yield date, date
    elif match := _RANGE.fullmatch(bound):
        yield dt.date.fromisoformat(match[1]), dt.date.fromisoformat(match[2]) - dt.timedelta(days=1)
