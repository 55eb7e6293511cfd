"""Resets checks: of dates that are admitted, and of all live dates when the pipeline file has changed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Insert, and_, bindparam, case, delete, select, update

from backfilld.state.records import DateRow, RunMode
from backfilld.state.rules.needs_graph import Pair
from backfilld.state.rules.verdict import Verdict
from backfilld.state.store.checks import REQUESTED, STANDS, TO_BE_TRIED, request_check
from backfilld.state.store.schema import checks, dates
from backfilld.state.store.sql_helpers import execute, fetch, upsert, upsert_in

_UNKNOWN: dict[str, Any] = {
    "output": "",
    "verdict": Verdict.UNKNOWN.value,
    "satisfied": case((and_(checks.c.accepted_reason != "", checks.c.attempt_id.is_(None)), 1), else_=0),
    "rows": None,
    "expected": "",
    "reason": "",
    "asked_at": None,
    "attempt_count": 0,
    "clean_attempts": 0,
    "retry_at": None,
    "last_attempt_started_at": None,
    "last_attempt_ended_at": None,
    "last_attempt_succeeded": 0,
    "last_attempt_detail": "",
    "last_attempt_counts": 0,
    "write_stamp": None,
    "stamp_before": None,
}
"""A check of which nothing is known."""

_THIS = (checks.c.date == bindparam("_date"), checks.c.processor == bindparam("_processor"))
_FORGET_STAMP = update(checks).where(*_THIS, checks.c.write_stamp.is_not(None)).values(write_stamp=None)
_DROP_UNTRIED = delete(checks).where(
    *_THIS,
    checks.c.verdict == Verdict.UNKNOWN.value,
    checks.c.attempt_id.is_(None),
    checks.c.last_attempt_started_at.is_(None),
)
_WITHDRAW = (
    update(checks)
    .where(*_THIS)
    .values(accepted_by="", accepted_reason="", waived_by="", waiver_reason="")
    .values(satisfied=case((STANDS, checks.c.satisfied), else_=0))
)

_OF_OTHER_TABLE: dict[str, Any] = {
    **_UNKNOWN,
    "mode": TO_BE_TRIED,
}
"""Nothing is known of another table. What runs of the history wrote was not this one: it is to be tried."""

_IS_TO_BE_TRIED = and_(checks.c.mode == RunMode.RETRY.value, checks.c.last_attempt_started_at.is_(None))
"""Condition: no attempt has written the table since a retry, or since the file has named it."""

_ONCE = (RunMode.FORCE, RunMode.REFRESH)
"""The modes that stay until an attempt was made, the stronger one first."""

_KEPT_WHEN_READMITTED = (
    "attempt_count",
    "clean_attempts",
    "retry_at",
    "mode",
)
"""Columns that a check keeps when its date is put back in the middle of its work."""

_OUTPUTS = select(checks.c.processor, checks.c.output).where(checks.c.output != "").distinct()
_OF_TABLE = and_(checks.c.processor == bindparam("_processor"), checks.c.output == bindparam("_output"))
_LIVE_OF_TABLE = select(dates.c.date).where(
    dates.c.ended_at.is_(None), dates.c.date.in_(select(checks.c.date).where(_OF_TABLE))
)
_FORGET_TABLE = (
    update(checks).where(_OF_TABLE).values(**_OF_OTHER_TABLE, **REQUESTED, query_due_at=bindparam("_now"))
)
_REQUEST_LIVE = (
    update(checks)
    .where(checks.c.attempt_id.is_(None), checks.c.processor.in_(bindparam("_processors", expanding=True)))
    .where(checks.c.date.in_(select(dates.c.date).where(dates.c.ended_at.is_(None))))
    .values(**REQUESTED, query_due_at=bindparam("_now"))
)
_FORGET_TRIES = (
    update(checks)
    .where(checks.c.date == bindparam("_date"))
    .values(attempt_count=0, clean_attempts=0, retry_at=None, mode=RunMode.NORMAL.value)
)
_FORGET_REWRITES = (
    update(dates).where(dates.c.date == bindparam("_date")).values(mode=RunMode.NORMAL.value, cascades=0)
)


def reset_for(
    tx: Connection,
    admitted: Sequence[DateRow],
    processors: Collection[str],
    now: float,
    rewritten: Collection[Pair] = (),
    readmitted: Collection[dt.date] = (),
    forced: Collection[Pair] = (),
    waived: Collection[Pair] = (),
) -> None:
    """Create or reset the checks of admitted dates, and request a check of each.

    Accepted gaps stay, and so do the waivers of the `waived` pairs. A rewrite or refresh that is due stays
    so. The pairs of `rewritten` and `forced` run once even if complete. For `readmitted` dates, which a
    changed pipeline file put back in the middle of their work, attempts and modes stay, so that nothing runs
    once more, except for the `forced` pairs.
    """
    if not admitted:
        return
    modes = dict.fromkeys(waived, RunMode.WAIVED) | dict.fromkeys((*rewritten, *forced), RunMode.FORCE)
    values = [
        {
            "date": row.date,
            "processor": name,
            "priority": row.priority,
            "mode": modes.get((row.date, name), row.mode).value,
            "query_due_at": now,
            "generation": 1,
        }
        for row in admitted
        for name in processors
    ]
    for again in (False, True):
        rows = [
            row
            for row in values
            if (row["date"] in readmitted and (row["date"], row["processor"]) not in forced) is again
        ]
        execute(tx, _reset(tx.dialect.name, again), rows)


@cache
def _reset(dialect: str, again: bool) -> Insert:
    """Creates or resets checks, and requests each as `request_check` does. `again`: of readmitted dates."""
    statement = upsert_in(dialect, checks)
    fresh = statement.excluded
    is_kept = (checks.c.mode if again else fresh.mode) == RunMode.WAIVED.value
    reset = {
        "query_due_at": fresh.query_due_at,
        **REQUESTED,
        "satisfied": 0,
        "attempt_count": 0,
        "clean_attempts": 0,
        "retry_at": None,
        "priority": fresh.priority,
        "mode": case(
            *((either == mode.value, mode.value) for mode in _ONCE for either in (checks.c.mode, fresh.mode)),
            (_IS_TO_BE_TRIED, RunMode.RETRY.value),
            else_=fresh.mode,
        ),
        "waived_by": case((is_kept, checks.c.waived_by), else_=""),
        "waiver_reason": case((is_kept, checks.c.waiver_reason), else_=""),
    }
    changes = {name: new for name, new in reset.items() if not (again and name in _KEPT_WHEN_READMITTED)}
    return statement.on_conflict_do_update(index_elements=["date", "processor"], set_=changes)


def withdraw_acceptances(tx: Connection, pairs: Collection[Pair]) -> None:
    """Take back what an operator accepted. What is not satisfied by itself is missing again.

    Where nothing is known, because it was accepted in advance, nothing is left: admission creates the check.
    """
    values = [{"_date": date, "_processor": name} for date, name in pairs]
    execute(tx, _DROP_UNTRIED, values)
    execute(tx, _WITHDRAW, values)


def forget_request(tx: Connection, wanted: Collection[dt.date]) -> None:
    """Forget what the request of live dates has tried and was to rewrite: another one goes on with them."""
    values = [{"_date": date} for date in wanted]
    execute(tx, _FORGET_TRIES, values)
    execute(tx, _FORGET_REWRITES, values)


def reset_other_tables(tx: Connection, tables: Mapping[str, str], now: float) -> list[Pair]:
    """Forget what is known of other tables than those that processors have now, and request a check.

    Returns the outputs of live dates that it concerns. An attempt that is running stays; what was accepted
    stays accepted. `no_data = "trust"` holds only after an attempt: runs of the history have written the
    table that the file named before.
    """
    live: list[Pair] = []
    for name, output in fetch(tx, _OUTPUTS):
        if tables.get(name, output) != output:
            of_table = {"_processor": name, "_output": output}
            live += [(row.date, name) for row in fetch(tx, _LIVE_OF_TABLE, of_table)]
            execute(tx, _FORGET_TABLE, [{**of_table, "_now": now}])
    return live


def forget_stamps(tx: Connection, pairs: Sequence[Pair]) -> None:
    """Compare the next write stamp of each pair with none: an attempt may have written its table."""
    execute(tx, _FORGET_STAMP, [{"_date": date, "_processor": name} for date, name in pairs])


def expect_anew(tx: Connection, pairs: Sequence[Pair], now: float) -> None:
    """Create the checks of pairs or forget what is known of them, and request a query of each.

    What was accepted stays accepted.
    """
    if pairs:
        new = upsert(tx, checks).on_conflict_do_update(index_elements=["date", "processor"], set_=_UNKNOWN)
        tx.execute(new, [{"date": date, "processor": name} for date, name in pairs])
        request_check(tx, pairs, now, evaluated=True)


def request_live(tx: Connection, processors: Collection[str], now: float) -> None:
    """Request a check of everything that live dates have, except what is running."""
    execute(tx, _REQUEST_LIVE, [{"_processors": list(processors), "_now": now}])
