"""Runs of check commands (`expect.check`): the latest of each (date, processor), or the request for one."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, bindparam, case, func, select, update

from backfilld.state.records import CheckRow
from backfilld.state.rules.check_command_run import CheckRun, has_result
from backfilld.state.rules.needs_graph import Pair
from backfilld.state.rules.verdict import Verdict
from backfilld.state.store.dates import IMMEDIATELY, make_dates_due
from backfilld.state.store.index_conditions import IS_UNENDED
from backfilld.state.store.schema import check_runs, checks, dates
from backfilld.state.store.sql_helpers import execute, fetch, select_by_dates, upsert

_FIELDS = ("subject", "requested_at", "started_at", "ended_at", "exit_code", "detail", "failures")
_OF_SUBJECT = ("exit_code", "detail", "failures")
"""What the latest run about a subject left, and what stays until the next one about it ends."""
_NEW: dict[str, Any] = {"started_at": None, "ended_at": None, "exit_code": None, "detail": "", "failures": 0}
_THIS = (check_runs.c.date == bindparam("_date"), check_runs.c.processor == bindparam("_processor"))
_START = update(check_runs).where(*_THIS).values(started_at=bindparam("_at"))
_EXPLAIN = (
    update(checks)
    .where(
        checks.c.date == bindparam("_date"),
        checks.c.processor == bindparam("_processor"),
        checks.c.verdict == bindparam("_unknown"),
    )
    .values(reason=bindparam("_reason"))
)
_END = (
    update(check_runs)
    .where(*_THIS, check_runs.c.subject == bindparam("_subject"), IS_UNENDED)
    .values(
        ended_at=bindparam("_at"),
        exit_code=bindparam("_code"),
        detail=bindparam("_detail"),
        failures=case((bindparam("_has_result") == 1, 0), else_=check_runs.c.failures + 1),
    )
)
# Done dates come last: the sweep asks for many at once, and live dates wait for theirs.
_NEXT = (
    select(check_runs)
    .outerjoin(dates, dates.c.date == check_runs.c.date)
    .outerjoin(checks, (checks.c.date == check_runs.c.date) & (checks.c.processor == check_runs.c.processor))
    .where(
        IS_UNENDED,
        check_runs.c.processor.in_(bindparam("_processors", expanding=True)),
        checks.c.attempt_id.is_(None),
    )
    .order_by(dates.c.ended_at.is_not(None), func.coalesce(dates.c.priority, 0).desc(), check_runs.c.date)
    .limit(bindparam("_limit"))
)


def attached(tx: Connection, wanted: Sequence[CheckRow], processors: Collection[str]) -> list[CheckRow]:
    """The checks, those of `processors` with the latest run of their check command."""
    runs = for_dates(tx, {check.date for check in wanted if check.processor in processors})
    return [check._replace(check_run=runs.get((check.date, check.processor))) for check in wanted]


def for_dates(tx: Connection, wanted: Collection[dt.date]) -> Mapping[Pair, CheckRun]:
    """The latest runs of some dates, by date and processor."""
    rows = select_by_dates(tx, check_runs, wanted)
    return {(row.date, row.processor): _run(row) for row in rows}


def _run(row: Row[Any]) -> CheckRun:
    return CheckRun(**{name: getattr(row, name) for name in _FIELDS})


def running(tx: Connection, processors: Collection[str]) -> Mapping[Pair, float]:
    """The pairs of some processors whose command runs, and since when, in epoch seconds."""
    if not processors:
        return {}
    here = (IS_UNENDED, check_runs.c.started_at.is_not(None), check_runs.c.processor.in_(processors))
    return {(row.date, row.processor): row.started_at for row in tx.execute(select(check_runs).where(*here))}


def request(tx: Connection, subjects: Mapping[Pair, str], now: float) -> None:
    """Request a run about each subject, in place of what is known of the pair about another one."""
    if not subjects:
        return
    values = [
        {"date": date, "processor": name, "subject": subject, "requested_at": now, **_NEW}
        for (date, name), subject in subjects.items()
    ]
    statement = upsert(tx, check_runs)
    fresh: dict[str, Any] = {name: statement.excluded[name] for name in _FIELDS}
    same = check_runs.c.subject == statement.excluded["subject"]
    fresh |= {name: case((same, check_runs.c[name]), else_=fresh[name]) for name in _OF_SUBJECT}
    tx.execute(statement.on_conflict_do_update(index_elements=["date", "processor"], set_=fresh), values)


def withdraw(tx: Connection, pairs: Iterable[Pair]) -> None:
    """Drop the requests of pairs: their outputs need no run any more."""
    for date, name in pairs:
        here = (check_runs.c.date == date, check_runs.c.processor == name, IS_UNENDED)
        tx.execute(check_runs.delete().where(*here))


def next_requests(tx: Connection, processors: Collection[str], limit: int) -> Mapping[Pair, CheckRun]:
    """The first requests of some processors, in the order in which they are to run.

    Live dates first, by priority and date. An output that an attempt is writing is left out.
    """
    if not processors:
        return {}
    rows = fetch(tx, _NEXT, {"_processors": list(processors), "_limit": limit})
    return {(row.date, row.processor): _run(row) for row in rows}


def start(tx: Connection, reasons: Mapping[Pair, str], now: float) -> None:
    """Record that runs start, and give what waits for each the reason that it shows meanwhile."""
    values = [{"_date": date, "_processor": name, "_at": now} for date, name in reasons]
    execute(tx, _START, values)
    explained = [
        {"_date": date, "_processor": name, "_unknown": Verdict.UNKNOWN.value, "_reason": reason}
        for (date, name), reason in reasons.items()
    ]
    execute(tx, _EXPLAIN, explained)
    make_dates_due(tx, sorted({date for date, _ in reasons}), IMMEDIATELY)


def end(tx: Connection, pair: Pair, subject: str, *, exit_code: int | None, detail: str, now: float) -> bool:
    """Record the end of a run; whether its subject is still the one that is requested."""
    date, name = pair
    values = {"_date": date, "_processor": name, "_subject": subject}
    result = {"_code": exit_code, "_detail": detail, "_has_result": int(has_result(exit_code))}
    return bool(execute(tx, _END, [{**values, **result, "_at": now}]))
