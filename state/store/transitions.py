"""Transitions: each move of a date is a compare-and-set on its version, with a row of history."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, insert, select, update

from backfilld.state.base_errors import BackfilldError
from backfilld.state.pipeline.phase import PENDING
from backfilld.state.records import DateRow, RunMode, TransitionRow
from backfilld.state.rules.state_machine import FINAL, Trigger
from backfilld.state.store import backfill_dates, row_mappers
from backfilld.state.store.schema import dates, transitions
from backfilld.state.store.sql_helpers import execute, fetch, select_by_dates

# Statements are built once: building one costs more than SQLite takes to run it.
_THIS = dates.c.date == bindparam("_date")
_AS_READ = (_THIS, dates.c.version == bindparam("_version"))
_STATUS_COLUMNS = ("outcome", "reason", "waiting", "waiting_text", "due_at", "entered_at", "ended_at")
_MOVE = (
    update(dates)
    .where(*_AS_READ)
    .values(
        {name: bindparam(f"_{name}") for name in (*_STATUS_COLUMNS, "state")} | {"version": bindparam("_new")}
    )
)
_INSERT_TRANSITION = insert(transitions)
_RESTART = (
    update(dates)
    .where(*_AS_READ)
    .values(version=dates.c.version + 1, state=PENDING, mode=bindparam("_mode"))
    .values(cascades=bindparam("_cascades"), due_at=bindparam("_now"), entered_at=bindparam("_now"))
    .values(outcome="", reason="", waiting="engine", waiting_text="")
    .values(ended_at=None, regressed="", swept_at=None)
)
_READMITTED = select(transitions.c.date, transitions.c.version).where(
    transitions.c.date.in_(bindparam("_dates", expanding=True)),
    transitions.c.trigger == Trigger.READMIT.value,
)


class StaleDate(BackfilldError):
    """Another transaction moved a date since it was read."""

    def __init__(self, first: dt.date, last: dt.date) -> None:
        span = f"{first}" if first == last else f"a date from {first} to {last}"
        super().__init__(f"{span} moved meanwhile")


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """One step of a date, as its history records it."""

    trigger: Trigger
    target: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DateStatus:
    """The columns of a date after a move, except its state."""

    outcome: str = ""
    reason: str = ""
    waiting: str = ""
    waiting_text: str = ""
    due_at: float | None = None
    entered_at: float = 0.0
    ended_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One or more steps of a date, as its row was read, and its columns after the last one."""

    row: DateRow
    steps: Sequence[Transition]
    status: DateStatus

    @property
    def state(self) -> str:
        """The state after the last step."""
        return self.steps[-1].target

    @property
    def version(self) -> int:
        """The version after the last step."""
        return self.row.version + len(self.steps)

    def history(self) -> Iterator[dict[str, object]]:
        """The row of history of each step, without actor and time."""
        source = self.row.state
        for number, step in enumerate(self.steps, start=1):
            yield {
                "date": self.row.date,
                "version": self.row.version + number,
                "source": source,
                "target": step.target,
                "trigger": step.trigger.value,
                "reason": step.reason,
            }
            source = step.target


def move(tx: Connection, moves: Sequence[Move], *, actor: str, now: float) -> None:
    """Take dates through their steps: one compare-and-set each, and one row of history for each step.

    Raises:
        StaleDate: a date is no longer at the version that its row was read at.
    """
    if not moves:
        return
    changed = execute(tx, _MOVE, [_moved(each) for each in moves])
    if changed != len(moves):
        moved_dates = [each.row.date for each in moves]
        raise StaleDate(min(moved_dates), max(moved_dates))
    execute(
        tx,
        _INSERT_TRANSITION,
        [{**step, "actor": actor, "at": now} for each in moves for step in each.history()],
    )
    ended = [each for each in moves if each.state in FINAL]
    backfill_dates.end(tx, [(each.row.date, each.state, each.status.outcome, each.version) for each in ended])


def _moved(each: Move) -> dict[str, object]:
    columns = {f"_{name}": getattr(each.status, name) for name in _STATUS_COLUMNS}
    key = {"_date": each.row.date, "_version": each.row.version}
    return {**key, "_new": each.version, "_state": each.state, **columns}


def restart(
    tx: Connection,
    ended: Sequence[DateRow],
    *,
    mode: RunMode,
    actor: str,
    reason: str,
    now: float,
    cascading: Collection[dt.date] = (),
    trigger: Trigger = Trigger.RETRY,
) -> None:
    """Move `done` or `failed` dates back to `pending`. The same writing transaction must have read them.

    On the dates of `cascading`, what is stale runs again.
    """
    if not ended:
        return
    again = {"_mode": mode.value, "_now": now}
    as_read = [{"_date": row.date, "_version": row.version} for row in ended]
    values = [{**one, **again, "_cascades": int(one["_date"] in cascading)} for one in as_read]
    execute(tx, _RESTART, values)
    step = {"target": PENDING, "trigger": trigger.value, "reason": reason, "actor": actor, "at": now}
    rows_of_history = [
        {"date": row.date, "version": row.version + 1, "source": row.state, **step} for row in ended
    ]
    execute(tx, _INSERT_TRANSITION, rows_of_history)


def readmitted(tx: Connection, pending: Sequence[DateRow]) -> set[dt.date]:
    """The pending dates whose last transition is a readmission, in the middle of their work."""
    moved = {row.date: row.version for row in pending if row.version}
    if not moved:
        return set()
    rows = fetch(tx, _READMITTED, {"_dates": list(moved)})
    return {row.date for row in rows if row.version == moved[row.date]}


def failed_in(tx: Connection, failed: Sequence[DateRow]) -> dict[dt.date, str]:
    """The state in which each of some failed dates failed."""
    versions = {row.date: row.version for row in failed}
    found = select_by_dates(tx, transitions, versions)
    return {row.date: row.source for row in found if versions[row.date] == row.version}


def history(tx: Connection, date: dt.date) -> list[TransitionRow]:
    """All transitions of a date, in order."""
    query = select(transitions).where(transitions.c.date == date).order_by(transitions.c.version)
    return [row_mappers.transition(row) for row in tx.execute(query)]
