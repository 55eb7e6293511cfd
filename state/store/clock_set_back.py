"""Recorded times that lie in the future after the clock was set back, and how to shift them.

Deadlines that count from a moment, such as a backoff, are shifted. Absolute ones stay: a hold until midnight
ends at midnight, as its reason says.
"""

from __future__ import annotations

from sqlalchemy import Column, ColumnElement, Connection, func, select, true, update

from backfilld.state.store.index_conditions import IS_RUNNING
from backfilld.state.store.schema import (
    attempts,
    calendar_days,
    check_runs,
    checks,
    dates,
    holds,
    stale_causes,
)
from backfilld.state.store.sql_helpers import fetch_one

_TOLD = (
    *(dates.c[name] for name in ("entered_at", "ended_at", "swept_at")),
    *(attempts.c[name] for name in ("claimed_at", "started_at")),
    calendar_days.c.asked_at,
)
"""What is only ever set to the present, and read again; of attempts, while they run."""
_KNOWN = tuple(
    checks.c[name] for name in ("asked_at", "last_attempt_started_at", "last_attempt_ended_at", "stale_at")
)
"""What is only ever set to the present, of checks."""
_OF_RUNS = tuple(check_runs.c[name] for name in ("requested_at", "started_at", "ended_at"))
_COMPARED = (*_KNOWN, checks.c.query_due_at, checks.c.retry_at, *_OF_RUNS)
"""What is known of a check: which of it came first must stay so."""


def _read_again(column: Column[float]) -> ColumnElement[bool]:
    return IS_RUNNING if column.table is attempts else true()


_LATEST = (
    *(select(func.max(column)).where(_read_again(column)) for column in _TOLD),
    select(*(func.max(column) for column in _KNOWN)),
)


def skew_seconds(tx: Connection, now: float) -> float:
    """How many seconds the latest stored moment lies in the future; 0 when it does not."""
    latest = [at for query in _LATEST for at in fetch_one(tx, query)]
    return max([0.0, *(float(at) - now for at in latest if at is not None)])


def shift_back(tx: Connection, now: float, ahead: float) -> None:
    """Let nothing that was noted lie in the future; relative deadlines come `ahead` seconds sooner.

    All that is known of checks moves by as much: some answers seem older than they are, and are had anew.
    """
    for column in _TOLD:
        tx.execute(update(column.table).where(column > now, _read_again(column)).values({column: now}))
    for column in (dates.c.due_at, stale_causes.c.at, *_COMPARED):
        tx.execute(update(column.table).where(column.is_not(None)).values({column: column - ahead}))
    relative = (holds.c.until.is_not(None), holds.c.absolute == 0)
    tx.execute(update(holds).where(*relative).values(until=holds.c.until - ahead))
