"""Checks of the dates that a lookback includes: creating them, and the earliest one that is not satisfied."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable
from functools import cache
from typing import Any

from sqlalchemy import CompoundSelect, Connection, bindparam, func, select, union_all, update

from backfilld.state.store.schema import IS_UNSATISFIED, checks
from backfilld.state.store.statements import upsert

_REQUEST_BETWEEN = (
    update(checks)
    .where(checks.c.date.between(bindparam("_start"), bindparam("_end")), checks.c.attempt_id.is_(None))
    .values(query_due_at=bindparam("_now"), generation=checks.c.generation + 1, runnable=0)
)


def create_lookback_checks(
    tx: Connection, expected: Iterable[dt.date], processors: Collection[str], now: float
) -> None:
    """Create checks of earlier dates that are not enqueued but that later dates depend on."""
    values = [
        {"date": date, "processor": name, "query_due_at": now} for date in expected for name in processors
    ]
    if values:
        tx.execute(upsert(tx, checks).on_conflict_do_nothing(), values)


def request_between(tx: Connection, start: dt.date, end: dt.date, now: float) -> None:
    """Request a query for every check from `start` to `end` that no attempt is filling."""
    tx.execute(_REQUEST_BETWEEN, {"_start": start, "_end": end, "_now": now})


def dates_with(tx: Connection, processors: Collection[str], start: dt.date, end: dt.date) -> set[dt.date]:
    """The dates from `start` to `end` for which each of the processors has a check."""
    here = (checks.c.processor.in_(processors), checks.c.date.between(start, end))
    query = select(checks.c.date).where(*here).group_by(checks.c.date)
    return set(tx.execute(query.having(func.count() == len(processors))).scalars())


def earliest_unsatisfied(
    tx: Connection, processors: Collection[str], start: dt.date, end: dt.date = dt.date.max
) -> tuple[dt.date, str] | None:
    """The first date in [start, end) with an unsatisfied check of the processors, and its processor."""
    values: dict[str, object] = {f"_processor{n}": name for n, name in enumerate(processors)}
    values |= {"_start": start, "_end": end}
    found = sorted(
        (row.date, row.processor) for row in tx.execute(_first_unsatisfied(len(processors)), values)
    )
    return found[0] if found else None


@cache
def _first_unsatisfied(branches: int) -> CompoundSelect[Any]:
    return union_all(
        *(
            select(
                select(checks.c.date, checks.c.processor)
                .where(IS_UNSATISFIED, checks.c.processor == bindparam(f"_processor{number}"))
                .where(checks.c.date >= bindparam("_start"), checks.c.date < bindparam("_end"))
                .order_by(checks.c.date)
                .limit(1)
                .subquery()
            )
            for number in range(branches)
        )
    )
