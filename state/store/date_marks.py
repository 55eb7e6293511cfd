"""Marks of done dates: when each was last checked, which are no longer complete, which are stale."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    and_,
    bindparam,
    exists,
    not_,
    or_,
    select,
    text,
    update,
)

from backfilld.state.pipeline.phase import DONE
from backfilld.state.records import DateRow
from backfilld.state.rules.needs_graph import Span
from backfilld.state.rules.verdict import Verdict
from backfilld.state.store import row_mappers
from backfilld.state.store.schema import HAS_OUTPUT, IS_STALE, IS_SWEPT, LAST_CHECKED_AT, checks, dates
from backfilld.state.store.statements import execute, fetch

_NEXT = select(LAST_CHECKED_AT).select_from(dates).where(IS_SWEPT).order_by(LAST_CHECKED_AT).limit(1)
_UNCHECKED_SINCE = (
    select(dates)
    .where(IS_SWEPT, bindparam("_at") >= LAST_CHECKED_AT)
    .order_by(LAST_CHECKED_AT, dates.c.date)
    .limit(bindparam("_limit"))
)
_THESE = dates.c.date.in_(bindparam("_dates", expanding=True))
_SWEPT = update(dates).where(_THESE).values(swept_at=bindparam("_now"))
_DONE = select(dates).where(dates.c.state == DONE, _THESE)
_SET_REGRESSED = update(dates).where(dates.c.date == bindparam("_date")).values(regressed=bindparam("_text"))


def _ran_since(at: object) -> ColumnElement[bool]:
    """Condition: a successful attempt started at or after `at`, and it is not known to have left the rows."""
    left_rows = checks.c.stamp_before == checks.c.write_stamp
    succeeded = and_(checks.c.last_attempt_started_at >= at, checks.c.last_attempt_succeeded == 1)
    return and_(succeeded, left_rows.is_not(True))


def _older(at: object) -> ColumnElement[bool]:
    """Condition: the check has output, and no successful attempt started at or after `at`."""
    shows = or_(
        checks.c.rows > 0,
        checks.c.last_attempt_succeeded == 1,
        checks.c.asked_at < checks.c.last_attempt_ended_at,
    )
    return and_(checks.c.verdict != Verdict.NOT_EXPECTED.value, shows, _ran_since(at).is_not(True))


_AT: BindParameter[float] = bindparam("_at")
_REPAIRED: BindParameter[dt.date] = bindparam("_repaired")
_FIRST: BindParameter[dt.date] = bindparam("_first")
_LAST: BindParameter[dt.date] = bindparam("_last")
_THEIRS = checks.c.processor.in_(bindparam("_processors", expanding=True))
_STALE_CHECKS = (
    update(checks)
    .where(checks.c.date.between(_FIRST, _LAST), _THEIRS, text(f"({HAS_OUTPUT})"))
    .where(or_(_older(_AT), checks.c.attempt_id.is_not(None)))
    .values(stale_at=_AT)
)
_STALE_DATES = (
    update(dates)
    .where(dates.c.date.between(_FIRST, _LAST))
    .where(exists().where(checks.c.date == dates.c.date, _THEIRS, checks.c.stale_at == _AT))
    .values(stale_by=_REPAIRED, stale_upstream=bindparam("_upstream"), stale_at=_AT)
)
_STALE_OUTPUTS = (
    select(checks.c.date, checks.c.processor)
    .where(checks.c.date.in_(bindparam("_dates", expanding=True)), checks.c.stale_at.is_not(None))
    .where(_ran_since(checks.c.stale_at).is_not(True))
    .order_by(checks.c.date, checks.c.processor)
)


def next_unchecked(tx: Connection) -> float | None:
    """When the least recently checked done date was checked; None without any."""
    return tx.execute(_NEXT).scalar()


def unchecked_since(tx: Connection, at: float, limit: int) -> list[DateRow]:
    """Up to `limit` done dates last checked at or before `at`, least recent first."""
    return [row_mappers.date(row) for row in tx.execute(_UNCHECKED_SINCE, {"_at": at, "_limit": limit})]


def mark_swept(tx: Connection, looked_at: Collection[dt.date], now: float) -> None:
    """Record that done dates were checked."""
    tx.execute(_SWEPT, {"_dates": list(looked_at), "_now": now})


def done_dates(tx: Connection, wanted: Collection[dt.date]) -> dict[dt.date, DateRow]:
    """The done ones of some dates."""
    return {row.date: row_mappers.date(row) for row in fetch(tx, _DONE, {"_dates": list(wanted)})}


def set_regressed(tx: Connection, texts: Mapping[dt.date, str]) -> None:
    """Set why dates are no longer complete; an empty text clears it."""
    if texts:
        tx.execute(_SET_REGRESSED, [{"_date": date, "_text": text} for date, text in texts.items()])


def mark_stale(
    tx: Connection,
    repaired: dt.date,
    upstream: str,
    span: Span,
    at: float,
    processors: Collection[str],
) -> None:
    """Mark the dates of the span that have output of `processors` from before `at`.

    Output that is being computed counts as such. `upstream` names what was repaired.
    """
    here = {"_first": span.first, "_last": span.last, "_processors": list(processors), "_at": at}
    if execute(tx, _STALE_CHECKS, [here]):
        tx.execute(_STALE_DATES, {**here, "_repaired": repaired, "_upstream": upstream})


def stale_outputs(tx: Connection, marked: Collection[dt.date]) -> dict[dt.date, list[str]]:
    """The processors of each date whose output is stale, and that have not run again since; by name."""
    found: dict[dt.date, list[str]] = {date: [] for date in marked}
    if found:
        for row in tx.execute(_STALE_OUTPUTS, {"_dates": list(found)}):
            found[row.date].append(row.processor)
    return found


def clear_stale(tx: Connection, ended: Collection[dt.date], processors: Collection[str]) -> None:
    """Take the mark from outputs that were computed since, and from dates without another stale output."""
    its = (checks.c.date == dates.c.date, checks.c.processor.in_(processors), checks.c.stale_at.is_not(None))
    here = (dates.c.date.in_(ended), ~exists().where(*its, _older(checks.c.stale_at)))
    tx.execute(update(dates).where(*here).values(stale_by=None, stale_upstream="", stale_at=None))
    fresh = exists().where(dates.c.date == checks.c.date, ~IS_STALE)
    marked = (checks.c.date.in_(ended), checks.c.stale_at.is_not(None))
    computed_since = not_(_older(checks.c.stale_at))
    tx.execute(update(checks).where(*marked, or_(fresh, computed_since)).values(stale_at=None))
