"""Runnable checks: those that come first, of which the engine claims attempts, and their old inputs."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import CompoundSelect, Connection, bindparam, func, or_, select, union_all

from backfilld.state.records import CheckRow
from backfilld.state.rules.needs_graph import Pair
from backfilld.state.rules.verdict import Verdict
from backfilld.state.store import row_mappers
from backfilld.state.store.index_conditions import IS_RUNNABLE
from backfilld.state.store.schema import calendar_days, checks
from backfilld.state.store.sql_helpers import chunked, fetch, select_by_dates


class RunnableCheck(NamedTuple):
    """A check that may start, when its evidence was queried, and whether its output is complete already."""

    date: dt.date
    processor: str
    priority: int
    asked_at: float | None
    satisfied: int


# One seek for each processor that is found: DISTINCT would read every runnable check.
_FIRST = select(func.min(checks.c.processor).label("name")).where(IS_RUNNABLE).cte(recursive=True)
_NEXT = select(func.min(checks.c.processor)).where(IS_RUNNABLE, checks.c.processor > _FIRST.c.name)
_NAMES = _FIRST.union_all(select(_NEXT.scalar_subquery()).where(_FIRST.c.name.is_not(None)))
_IS_UNDER_WAY = or_(checks.c.attempt_id.is_not(None), IS_RUNNABLE, checks.c.query_due_at.is_not(None))
_PROCESSORS = select(_NAMES.c.name).where(_NAMES.c.name.is_not(None))


def processors(tx: Connection) -> list[str]:
    """The processors that have a runnable check."""
    return [row.name for row in fetch(tx, _PROCESSORS)]


def first(tx: Connection, limits: Mapping[str, int]) -> list[RunnableCheck]:
    """The runnable checks that come first, at most `limits[processor]` of each: by priority, then date.

    One seek per processor, so what waits behind a busy table costs nothing.
    """
    wanted = [limit for limit in limits.items() if limit[1] > 0]
    found: list[RunnableCheck] = []
    for chunk in chunked(wanted):
        # Compiling takes milliseconds, so there are few sizes: branches are added that find nothing.
        branches = 1 << (len(chunk) - 1).bit_length()
        values: dict[str, object] = {}
        for number, (name, limit) in enumerate([*chunk, *[("", 0)] * (branches - len(chunk))]):
            values |= {f"_processor{number}": name, f"_limit{number}": limit}
        found += map(RunnableCheck._make, fetch(tx, _first(branches), values))
    return sorted(found, key=lambda row: (-row.priority, row.date))


# Compiling a column of a branch takes longer than SQLite takes to read it.
COLUMNS = [checks.c[name] for name in RunnableCheck._fields]


@cache
def _first(branches: int) -> CompoundSelect[Any]:
    return union_all(
        *(
            select(
                select(*COLUMNS)
                .where(IS_RUNNABLE, checks.c.processor == bindparam(f"_processor{number}"))
                .order_by(checks.c.priority.desc(), checks.c.date)
                .limit(bindparam(f"_limit{number}"))
                .subquery()
            )
            for number in range(branches)
        )
    )


_COMPLETE_BEFORE = select(checks.c.date, checks.c.processor).where(
    checks.c.satisfied == 1,
    checks.c.verdict == Verdict.COMPLETE.value,
    checks.c.waived_by == "",
    checks.c.accepted_reason == "",
    checks.c.asked_at < bindparam("_before"),
)
_ON_DATES = _COMPLETE_BEFORE.where(checks.c.date.in_(bindparam("_dates", expanding=True)))
# By the known dates, so that each check is found by its key.
_DATES_BETWEEN = select(calendar_days.c.date).where(
    calendar_days.c.date.between(bindparam("_first"), bindparam("_last"))
)
_BETWEEN = _COMPLETE_BEFORE.where(
    checks.c.date.in_(_DATES_BETWEEN), checks.c.processor.in_(bindparam("_processors", expanding=True))
)


def complete_before(tx: Connection, wanted: Collection[dt.date], before: float) -> list[Pair]:
    """The outputs of some dates that satisfy their needs by rows that were last queried before a time."""
    values = {"_dates": sorted(wanted), "_before": before}
    return [(row.date, row.processor) for row in fetch(tx, _ON_DATES, values)] if wanted else []


def complete_between(
    tx: Connection, processors: Collection[str], first: dt.date, last: dt.date, before: float
) -> list[Pair]:
    """The same of some processors on the dates from `first` to `last`, both included."""
    values = {"_processors": sorted(processors), "_first": first, "_last": last, "_before": before}
    return [(row.date, row.processor) for row in fetch(tx, _BETWEEN, values)]


def under_way(tx: Connection, wanted: Collection[dt.date]) -> dict[dt.date, dict[str, CheckRow]]:
    """The checks of some dates that a query is due for, that may start or whose attempt runs.

    By date and processor.
    """
    found: dict[dt.date, dict[str, CheckRow]] = {date: {} for date in wanted}
    for row in select_by_dates(tx, checks, found, _IS_UNDER_WAY):
        found[row.date][row.processor] = row_mappers.check(row)
    return found
