"""Interests: which backfills want which dates. A date belongs to all backfills that want it.

An interest is a row of `backfill_dates`. It is live from the request until the date ends, or until it is
withdrawn because its backfill is cancelled while other backfills want the date.
"""

from __future__ import annotations

import datetime as dt
import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, exists, or_, select, update

from backfilld.state.pipeline.phase import FAILED
from backfilld.state.records import DateRow, Sources
from backfilld.state.rules.date_outcomes import Outcome
from backfilld.state.store.index_conditions import IS_FAILED, IS_RUNNABLE, IS_WANTED
from backfilld.state.store.schema import backfill_dates, backfills, checks, dates
from backfilld.state.store.sql_helpers import execute, fetch, fetch_one, select_by_dates, whole_span

_THIS_DATE = backfill_dates.c.date == bindparam("_date")
_BACKFILL = backfill_dates.c.backfill_id == bindparam("_backfill")
WANTED_DATES = select(backfill_dates.c.date).where(IS_WANTED, _BACKFILL)
"""The dates that the backfill `_backfill` wants, as a subquery."""
_OWNERS = (
    select(
        backfill_dates.c.date,
        backfill_dates.c.backfill_id,
        backfill_dates.c.awaits_admission,
        backfills.c.priority,
    )
    .join(backfills, backfills.c.id == backfill_dates.c.backfill_id)
    .where(IS_WANTED, backfills.c.cancelled_at.is_(None))
    .order_by(backfills.c.priority.desc(), backfill_dates.c.backfill_id)
)
_BETWEEN = _OWNERS.where(backfill_dates.c.date.between(bindparam("_start"), bindparam("_end")))
_AMONG = _OWNERS.where(backfill_dates.c.date.in_(bindparam("_dates", expanding=True)))
_WANTED_BETWEEN = (
    select(backfill_dates.c.date)
    .where(IS_WANTED, backfill_dates.c.date.between(bindparam("_start"), bindparam("_end")))
    .where(
        backfill_dates.c.backfill_id.not_in(
            select(backfills.c.id).where(backfills.c.cancelled_at.is_not(None))
        )
    )
    .distinct()
)
_ENDED: dict[str, Any] = {
    "live": 0,
    "awaits_admission": 0,
    "state": bindparam("_state"),
    "outcome": bindparam("_outcome"),
    "ended_version": bindparam("_version"),
}
_END = update(backfill_dates).where(IS_WANTED, _THIS_DATE).values(_ENDED)
_LIVE_AGAIN: dict[str, Any] = {"live": 1, "state": "", "outcome": "", "ended_version": None}
_CANCELLED = select(backfills.c.id).where(backfills.c.cancelled_at.is_not(None))
_CANCELLED_AMONG = _CANCELLED.where(backfills.c.id.in_(bindparam("_ids", expanding=True)))
_OF_CANCELLED = select(backfill_dates.c.date, backfill_dates.c.backfill_id).where(
    IS_WANTED, backfill_dates.c.backfill_id.in_(_CANCELLED)
)
_NARROW = (
    select(backfills.c.id)
    .where(or_(backfills.c.selection.is_not(None), backfills.c.sources != Sources.ALL.value))
    .limit(1)
)
_ASKED = select(backfills.c.id, backfills.c.selection, backfills.c.sources).where(
    backfills.c.id.in_(bindparam("_ids", expanding=True))
)
_SETTLE = update(backfill_dates).where(_THIS_DATE, _BACKFILL).values(_ENDED)
_ADMITTED = (
    update(backfill_dates)
    .where(IS_WANTED, _THIS_DATE, backfill_dates.c.awaits_admission == 1)
    .values(awaits_admission=0)
)
_CANCEL = (
    update(backfill_dates)
    .where(_THIS_DATE, _BACKFILL)
    .values(live=0, awaits_admission=0, state=FAILED, outcome=Outcome.CANCELLED.value)
)
_NOT_CANCELLED = backfill_dates.c.backfill_id.not_in(_CANCELLED)
_REOPEN_LAST = (
    update(backfill_dates)
    .where(_THIS_DATE, backfill_dates.c.ended_version == bindparam("_version"), _NOT_CANCELLED)
    .values(_LIVE_AGAIN)
)
_FAILED = select(backfill_dates.c.backfill_id, backfill_dates.c.date).where(
    IS_FAILED,
    backfill_dates.c.outcome != Outcome.CANCELLED.value,
    backfill_dates.c.date.in_(bindparam("_dates", expanding=True)),
)
_OTHER = backfill_dates.alias("other")
_SHARED = WANTED_DATES.where(
    exists().where(
        _OTHER.c.date == backfill_dates.c.date,
        _OTHER.c.live == 1,
        _OTHER.c.backfill_id != bindparam("_backfill"),
        _OTHER.c.backfill_id.not_in(_CANCELLED),
    )
)
_UNWANTED = ~exists().where(_OTHER.c.date == bindparam("_date"), _OTHER.c.live == 1)
_REOPEN_LEAD = update(backfill_dates).where(_THIS_DATE, _BACKFILL, _UNWANTED).values(_LIVE_AGAIN)
_REOPEN_OF = (
    update(backfill_dates)
    .where(_THIS_DATE, _BACKFILL)
    .values({**_LIVE_AGAIN, "awaits_admission": bindparam("_awaits")})
)
_LEAD = (
    update(dates)
    .where(dates.c.date == bindparam("_date"))
    .values(backfill_id=bindparam("_backfill"), priority=bindparam("_priority"))
)
_RAISE = (
    update(dates)
    .where(dates.c.date.in_(WANTED_DATES), dates.c.ended_at.is_(None))
    .where(dates.c.priority < bindparam("_priority"))
    .values(priority=bindparam("_priority"))
)
_RAISE_RUNNABLE = (
    update(checks)
    .where(IS_RUNNABLE, checks.c.date.in_(WANTED_DATES), checks.c.priority < bindparam("_priority"))
    .values(priority=bindparam("_priority"))
)
_RUNNABLE_PRIORITY = (
    update(checks)
    .where(IS_RUNNABLE, checks.c.date == bindparam("_date"))
    .values(priority=bindparam("_priority"))
)


@dataclass(frozen=True, slots=True)
class Interest:
    """That a backfill, which is not cancelled, wants a date."""

    backfill_id: int
    awaits_admission: bool
    priority: int


def owners(tx: Connection, wanted: Collection[dt.date]) -> dict[dt.date, list[Interest]]:
    """The live interests in each of some dates, the highest priority first, then the oldest backfill.

    Those of backfills that are being cancelled are left out.
    """
    found: dict[dt.date, list[Interest]] = defaultdict(list)
    if not wanted:
        return found
    span = whole_span(wanted)
    rows = fetch(tx, _BETWEEN, span) if span else fetch(tx, _AMONG, {"_dates": list(wanted)})
    for date, backfill_id, awaits_admission, priority in rows:
        found[date].append(Interest(backfill_id, bool(awaits_admission), priority))
    return found


def wanted_among(tx: Connection, chosen: Collection[dt.date]) -> set[dt.date]:
    """Those of some dates that a backfill wants which is not being cancelled."""
    if not chosen:
        return set()
    between = {"_start": min(chosen), "_end": max(chosen)}
    return {row.date for row in fetch(tx, _WANTED_BETWEEN, between)}.intersection(chosen)


def widened(
    tx: Connection, live: Collection[dt.date], selection: Collection[str] | None, sources: Sources
) -> set[dt.date]:
    """The live dates whose backfills run less together than a selection (None: everything) and sources."""
    if not live or fetch_one(tx, _NARROW) is None:
        return set()
    found = owners(tx, live)
    numbers = {interest.backfill_id for of_date in found.values() for interest in of_date}
    rows = fetch(tx, _ASKED, {"_ids": list(numbers)})
    asks = {row.id: (row.selection, Sources(row.sources)) for row in rows}
    return {
        date
        for date, of_date in found.items()
        if _run_less([asks[interest.backfill_id] for interest in of_date], selection, sources)
    }


def _run_less(
    owning: Sequence[tuple[str | None, Sources]], selection: Collection[str] | None, sources: Sources
) -> bool:
    """Whether backfills, each with its stored selection and its sources, run less together."""
    if all(sources.width > of_one.width for _, of_one in owning):
        return True
    selections = [None if names is None else set(json.loads(names)) for names, _ in owning]
    if None in selections:
        return False
    return selection is None or not set().union(*filter(None, selections)).issuperset(selection)


def end(tx: Connection, ended: Sequence[tuple[dt.date, str, str, int]]) -> None:
    """Record for all backfills that want dates how these ended: date, state, outcome and version of each."""
    names = ("_date", "_state", "_outcome", "_version")
    execute(tx, _END, [dict(zip(names, values, strict=True)) for values in ended])


def last_owners(tx: Connection, ended: Sequence[DateRow]) -> dict[dt.date, list[int]]:
    """The backfills that wanted each of some ended dates when it ended, or want it again now.

    Cancelled ones are left out.
    """
    versions = {row.date: row.version for row in ended}
    found: dict[dt.date, list[int]] = defaultdict(list)
    for row in select_by_dates(tx, backfill_dates, versions):
        if row.live or row.ended_version == versions[row.date]:
            found[row.date].append(row.backfill_id)
    numbers = {number for of_date in found.values() for number in of_date}
    cancelled = {row.id for row in fetch(tx, _CANCELLED_AMONG, {"_ids": list(numbers)})} if numbers else set()
    wanted = {date: [n for n in of_date if n not in cancelled] for date, of_date in found.items()}
    return {date: of_date for date, of_date in wanted.items() if of_date}


def failed(tx: Connection, ended: Collection[dt.date]) -> dict[int, list[dt.date]]:
    """The dates that failed for backfills, by backfill. What was cancelled did not fail."""
    found: dict[int, list[dt.date]] = defaultdict(list)
    if ended:
        for row in fetch(tx, _FAILED, {"_dates": list(ended)}):
            found[row.backfill_id].append(row.date)
    return found


def settle(tx: Connection, backfill_id: int, ended: Sequence[DateRow]) -> None:
    """Record for one backfill how dates ended since that other backfills have completed."""
    values = [
        {"_date": row.date, "_backfill": backfill_id, "_state": row.state, "_outcome": row.outcome}
        | {"_version": row.version}
        for row in ended
    ]
    execute(tx, _SETTLE, values)


def reopen(tx: Connection, ended: Sequence[DateRow]) -> None:
    """Return ended dates to the backfills that wanted them when they ended.

    Cancelled ones are left out, unless no other backfill wants the date: then it goes to its lead.
    """
    execute(tx, _REOPEN_LAST, [{"_date": row.date, "_version": row.version} for row in ended])
    execute(tx, _REOPEN_LEAD, [{"_date": row.date, "_backfill": row.backfill_id} for row in ended])


def reopen_widest(tx: Connection, ended: Sequence[DateRow]) -> None:
    """Return ended dates to earlier backfills too, where those that wanted them last select processors.

    From the latest on, until one selects all. Cancelled ones are left out.
    """
    versions = {row.date: row.version for row in ended}
    found: dict[dt.date, list[tuple[int, int, bool]]] = defaultdict(list)
    query = (
        select(backfill_dates, backfills.c.selection)
        .join(backfills, backfills.c.id == backfill_dates.c.backfill_id)
        .where(backfill_dates.c.date.in_(list(versions)), backfills.c.cancelled_at.is_(None))
        .where(backfill_dates.c.ended_version.is_not(None))
    )
    for row in tx.execute(query) if versions else ():
        found[row.date].append((row.ended_version, row.backfill_id, row.selection is None))
    for date, interests in found.items():
        last = [is_wide for version, _, is_wide in interests if version == versions[date]]
        wide = max((version for version, _, is_wide in interests if is_wide), default=0)
        if last and not any(last):
            for version, number, _ in interests:
                if wide <= version < versions[date]:
                    reopen_of(tx, number, [date], ())


def reopen_of(
    tx: Connection, backfill_id: int, wanted: Iterable[dt.date], restarting: Collection[dt.date]
) -> None:
    """Have a backfill want dates again that ended for it; those of `restarting` start again for it."""
    values = [
        {"_date": date, "_backfill": backfill_id, "_awaits": int(date in restarting)} for date in wanted
    ]
    execute(tx, _REOPEN_OF, values)


def admitted(tx: Connection, admitted_dates: Collection[dt.date]) -> None:
    """Record that dates were admitted for all backfills that want them."""
    execute(tx, _ADMITTED, [{"_date": date} for date in admitted_dates])


def withdraw(tx: Connection, backfill_id: int) -> list[dt.date]:
    """End the interest of a cancelled backfill in dates that other backfills want. Returns these dates."""
    shared_dates = [row.date for row in fetch(tx, _SHARED, {"_backfill": backfill_id})]
    _cancel(tx, [(date, backfill_id) for date in shared_dates])
    return shared_dates


def _cancel(tx: Connection, pairs: Sequence[tuple[dt.date, int]]) -> None:
    execute(tx, _CANCEL, [{"_date": date, "_backfill": number} for date, number in pairs])


def withdraw_cancelled(tx: Connection, requested: Collection[dt.date]) -> set[dt.date]:
    """End the interests of cancelled backfills in dates that a new backfill wants. Returns these dates."""
    chosen = set(requested)
    pairs = [(date, number) for date, number in fetch(tx, _OF_CANCELLED) if date in chosen]
    _cancel(tx, pairs)
    return {date for date, _ in pairs}


def join(tx: Connection, backfill_id: int, priority: int) -> None:
    """Raise the priority of the live dates that a new backfill shares to its own."""
    raised = {"_backfill": backfill_id, "_priority": priority}
    execute(tx, _RAISE, [raised])
    execute(tx, _RAISE_RUNNABLE, [raised])


def elect_leads(tx: Connection, shared: Collection[dt.date]) -> None:
    """Give each date its effective priority, and a lead where its lead no longer wants it.

    The lead is the backfill that attempts are counted for. The priority is the highest of all owners.
    """
    found = owners(tx, shared)
    current = _leads(tx, found)
    changes = []
    for date, interests in found.items():
        lead = current[date][0]
        if lead not in {interest.backfill_id for interest in interests}:
            lead = interests[0].backfill_id
        if (lead, interests[0].priority) != current[date]:
            changes.append({"_date": date, "_backfill": lead, "_priority": interests[0].priority})
    execute(tx, _LEAD, changes)
    execute(tx, _RUNNABLE_PRIORITY, changes)


def _leads(tx: Connection, wanted: Collection[dt.date]) -> dict[dt.date, tuple[int, int]]:
    """The lead and the priority of each of some dates."""
    rows = select_by_dates(tx, dates, wanted)
    return {row.date: (row.backfill_id, row.priority) for row in rows}
