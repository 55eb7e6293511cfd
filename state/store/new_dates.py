"""The new dates of a request, made of its interests: one statement for each season, however many there are.

A statement per date would take five times as long: each starts the triggers and the journal of a statement.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from itertools import groupby
from operator import itemgetter
from typing import Any

from sqlalchemy import (
    BindParameter,
    Connection,
    Double,
    Insert,
    Text,
    bindparam,
    exists,
    insert,
    literal,
    select,
)

from backfilld.state.pipeline.phase import DONE, PENDING
from backfilld.state.records import EnqueueOutcome
from backfilld.state.rules.date_outcomes import Outcome
from backfilld.state.rules.gates import WaitReason
from backfilld.state.rules.state_machine import Trigger
from backfilld.state.store.schema import backfill_dates, backfills, dates, transitions
from backfilld.state.store.sql_helpers import execute

_NOW = bindparam("_now", type_=Double)
_BACKFILL: BindParameter[int] = bindparam("_backfill")
_RANGE: tuple[BindParameter[dt.date], BindParameter[dt.date]] = (bindparam("_first"), bindparam("_last"))


def _insert(answer: EnqueueOutcome, **values: Any) -> Insert:
    """Inserts the dates that a backfill asks for first, in a range, by its answer to them."""
    columns = {
        "date": backfill_dates.c.date,
        "backfill_id": backfill_dates.c.backfill_id,
        "priority": backfills.c.priority,
        "season": bindparam("_season", type_=Text),
        "entered_at": _NOW,
        **values,
    }
    requested = (
        select(*columns.values())
        .join_from(backfill_dates, backfills)
        .where(
            backfill_dates.c.backfill_id == _BACKFILL,
            backfill_dates.c.answer == answer.value,
            backfill_dates.c.date.between(*_RANGE),
            ~exists().where(dates.c.date == backfill_dates.c.date),
        )
    )
    return insert(dates).from_select(list(columns), requested)


_PENDING = _insert(
    EnqueueOutcome.ENQUEUED,
    state=literal(PENDING),
    waiting=literal(WaitReason.ENGINE.value),
    due_at=_NOW,
)
_DISMISSED = _insert(
    EnqueueOutcome.NOT_EXPECTED,
    state=literal(DONE),
    outcome=literal(Outcome.NOT_EXPECTED.value),
    reason=backfill_dates.c.reason,
    ended_at=_NOW,
    version=literal(1),
)
_DISMISSAL = {
    "date": dates.c.date,
    "version": dates.c.version,
    "source": literal(PENDING),
    "target": dates.c.state,
    "trigger": literal(Trigger.DISMISS.value),
    "reason": dates.c.reason,
    "actor": bindparam("_actor", type_=Text),
    "at": dates.c.ended_at,
}
_JUST_DISMISSED = (dates.c.date.between(*_RANGE), dates.c.backfill_id == _BACKFILL, dates.c.state == DONE)
_DISMISSALS = insert(transitions).from_select(
    list(_DISMISSAL), select(*_DISMISSAL.values()).where(*_JUST_DISMISSED)
)


def create(
    tx: Connection, backfill_id: int, requested: Iterable[tuple[dt.date, str]], *, actor: str, now: float
) -> None:
    """Insert those dates of a new backfill that were never requested before, by its answers to them.

    `requested` are these dates, oldest first, each with its season. They are pending; those on which nothing
    is expected are done, each with one transition by `actor`.
    """
    for season, group in groupby(requested, key=itemgetter(1)):
        of_season = [date for date, _ in group]
        values = {"_backfill": backfill_id, "_season": season, "_actor": actor, "_now": now}
        values |= {"_first": of_season[0], "_last": of_season[-1]}
        for statement in (_PENDING, _DISMISSED, _DISMISSALS):
            execute(tx, statement, [values])
