"""Checks: what is known of each (date, processor), what shall be asked, and what may run."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, case, func, literal, or_, select, true, union_all, update

from state.records import CheckRow, DateRow, Mode
from state.store import rows
from state.store.upsert import insert
from state.tables import IS_HOLE, IS_RUNNABLE, checks, dates
from state.verdict import Judgement

Pair = tuple[dt.date, str]
"""A date and a processor."""

_THIS = (checks.c.date == bindparam("_date"), checks.c.processor == bindparam("_processor"))


def _pairs(pairs: Iterable[Pair]) -> list[dict[str, object]]:
    return [{"_date": date, "_processor": processor} for date, processor in pairs]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """An answer to the question `ticket`, ready to be kept."""

    date: dt.date
    processor: str
    ticket: int
    judgement: Judgement
    asked_at: float
    ask_again_at: float | None = None


def open_for(tx: Connection, admitted: Sequence[DateRow], processors: Collection[str], now: float) -> None:
    """Start afresh with the checks of admitted dates: nothing tried, everything to be asked.

    What an operator accepted stays, unless the date is to be run again.
    """
    if not admitted:
        return
    statement = insert(tx, checks)
    fresh = statement.excluded
    reset = {
        "satisfied": 0,
        "wanted_at": fresh.wanted_at,
        "ticket": checks.c.ticket + 1,
        "tries": 0,
        "retry_at": None,
        "runnable": 0,
        "priority": fresh.priority,
        "mode": fresh.mode,
        "passed_by": "",
        "gap": "",
        "accepted_by": case((fresh.mode == Mode.NORMAL, checks.c.accepted_by), else_=""),
        "accepted_reason": case((fresh.mode == Mode.NORMAL, checks.c.accepted_reason), else_=""),
    }
    values = [
        {
            "date": row.date,
            "processor": name,
            "wanted_at": now,
            "priority": row.priority,
            "mode": row.mode.value,
        }
        for row in admitted
        for name in processors
    ]
    tx.execute(statement.on_conflict_do_update(index_elements=["date", "processor"], set_=reset), values)


def open_witnesses(
    tx: Connection, expected: Iterable[dt.date], processors: Collection[str], now: float
) -> None:
    """Checks of earlier dates that nobody enqueued but on which later ones depend."""
    values = [{"date": date, "processor": name, "wanted_at": now} for date in expected for name in processors]
    if values:
        tx.execute(insert(tx, checks).on_conflict_do_nothing(), values)


def dates_with(tx: Connection, processor: str, start: dt.date, end: dt.date) -> set[dt.date]:
    """The dates from `start` to `end` for which the processor has a check."""
    query = select(checks.c.date).where(checks.c.processor == processor, checks.c.date.between(start, end))
    return set(tx.execute(query).scalars())


def of_dates(tx: Connection, wanted: Collection[dt.date]) -> dict[dt.date, dict[str, CheckRow]]:
    """All checks of some dates, by date and processor."""
    found: dict[dt.date, dict[str, CheckRow]] = defaultdict(dict)
    query = select(checks).where(checks.c.date.in_(wanted))
    for row in tx.execute(query):
        found[row.date][row.processor] = rows.check(row)
    return found


def of_dates_between(tx: Connection, wanted: Collection[dt.date]) -> dict[dt.date, dict[str, CheckRow]]:
    """All checks of many dates, by date and processor: one range instead of a list of parameters."""
    if not wanted:
        return {}
    found: dict[dt.date, dict[str, CheckRow]] = {date: {} for date in wanted}
    query = select(checks).where(checks.c.date.between(min(wanted), max(wanted)))
    for row in tx.execute(query):
        if row.date in found:
            found[row.date][row.processor] = rows.check(row)
    return found


def want(tx: Connection, pairs: Iterable[Pair], at: float) -> None:
    """Have the warehouse asked about pairs, not before `at`. Answers under way no longer count."""
    values = _pairs(pairs)
    if values:
        again = {"wanted_at": at, "ticket": checks.c.ticket + 1, "runnable": 0}
        tx.execute(update(checks).where(*_THIS).values(again), values)


def wanted(tx: Connection, now: float, limit: int) -> list[CheckRow]:
    """The checks whose question is due, oldest date first."""
    query = select(checks).where(checks.c.wanted_at <= now).order_by(checks.c.date).limit(limit)
    return [rows.check(row) for row in tx.execute(query)]


def has_wanted(tx: Connection, now: float) -> bool:
    """Whether any question is due."""
    return tx.execute(select(checks.c.date).where(checks.c.wanted_at <= now).limit(1)).first() is not None


def next_question(tx: Connection, after: float) -> float | None:
    """When the next question after a time is due."""
    return tx.execute(select(func.min(checks.c.wanted_at)).where(checks.c.wanted_at > after)).scalar()


def save(tx: Connection, answers: Iterable[Judged]) -> None:
    """Keep verdicts, except where something happened since the question was put."""
    statement = (
        update(checks)
        .where(*_THIS, checks.c.ticket == bindparam("_ticket"))
        .values(
            verdict=bindparam("_verdict"),
            satisfied=case(
                (or_(checks.c.accepted_reason != "", checks.c.passed_by != ""), 1),
                else_=bindparam("_satisfied"),
            ),
            rows=bindparam("_rows"),
            expected=bindparam("_expected"),
            reason=bindparam("_reason"),
            asked_at=bindparam("_asked_at"),
            wanted_at=bindparam("_again"),
        )
    )
    values = [_saved(answer) for answer in answers]
    if values:
        tx.execute(statement, values)


def _saved(answer: Judged) -> dict[str, object]:
    judgement = answer.judgement
    return {
        "_date": answer.date,
        "_processor": answer.processor,
        "_ticket": answer.ticket,
        "_verdict": judgement.verdict.value,
        "_satisfied": int(judgement.verdict.satisfied),
        "_rows": judgement.rows,
        "_expected": judgement.expected,
        "_reason": judgement.reason,
        "_asked_at": answer.asked_at,
        "_again": answer.ask_again_at,
    }


def pass_over(tx: Connection, date: dt.date, processor: str, *, by: str, reason: str) -> None:
    """Count an unsatisfied check as passed, with who says so and why."""
    here = (checks.c.date == date, checks.c.processor == processor)
    tx.execute(update(checks).where(*here).values(passed_by=by, gap=reason, satisfied=1))


def accept(tx: Connection, date: dt.date, processor: str, *, actor: str, reason: str, now: float) -> None:
    """Record that an operator accepts a gap; the date may never have been enqueued."""
    accepted = {"accepted_by": actor, "accepted_reason": reason, "satisfied": 1, "runnable": 0}
    new = insert(tx, checks).values(date=date, processor=processor, wanted_at=now, **accepted)
    tx.execute(new.on_conflict_do_update(index_elements=["date", "processor"], set_=accepted))


def set_runnable(tx: Connection, pairs: Iterable[Pair]) -> None:
    """Let pairs start as soon as there is a slot."""
    values = _pairs(pairs)
    if values:
        tx.execute(update(checks).where(*_THIS).values(runnable=1), values)


def clear_runnable(tx: Connection, pairs: Iterable[Pair]) -> None:
    """Let pairs start no more."""
    values = _pairs(pairs)
    if values:
        tx.execute(update(checks).where(*_THIS, IS_RUNNABLE).values(runnable=0), values)


def clear_runnable_of(tx: Connection, backfill_id: int) -> None:
    """Let nothing of a backfill start any more."""
    its = select(dates.c.date).where(dates.c.backfill_id == backfill_id)
    tx.execute(update(checks).where(IS_RUNNABLE, checks.c.date.in_(its)).values(runnable=0))


def runnable(tx: Connection, limits: Mapping[str, int]) -> list[CheckRow]:
    """The runnable checks that come first, at most `limits[processor]` of each: by priority, then date.

    One seek per processor, so what waits behind a busy table costs nothing.
    """
    branches = [
        select(
            select(checks)
            .where(IS_RUNNABLE, checks.c.processor == literal(name))
            .order_by(checks.c.priority.desc(), checks.c.date)
            .limit(limit)
            .subquery()
        )
        for name, limit in limits.items()
        if limit > 0
    ]
    if not branches:
        return []
    found = [rows.check(row) for row in tx.execute(union_all(*branches))]
    return sorted(found, key=lambda row: (-row.priority, row.date))


def claim(tx: Connection, pairs: Iterable[Pair], attempt_id: int) -> None:
    """Note that an attempt runs for pairs."""
    taken = {"attempt_id": attempt_id, "runnable": 0, "tries": checks.c.tries + 1}
    tx.execute(update(checks).where(*_THIS).values(taken), _pairs(pairs))


def release(tx: Connection, attempt_id: int, pairs: Iterable[Pair], values: Mapping[str, object]) -> None:
    """Note that the attempt ended, with `values`, and have the warehouse asked."""
    here = (*_THIS, checks.c.attempt_id == attempt_id)
    ended = {**values, "attempt_id": None, "runnable": 0, "ticket": checks.c.ticket + 1}
    tx.execute(update(checks).where(*here).values(ended), _pairs(pairs))


def earliest_hole(
    tx: Connection, processors: Collection[str], start: dt.date, end: dt.date = dt.date.max
) -> tuple[dt.date, str] | None:
    """The first date from `start` to before `end` that some processor has not satisfied, and which."""
    branches = [
        select(
            select(checks.c.date, checks.c.processor)
            .where(IS_HOLE, checks.c.processor == literal(name))
            .where(checks.c.date >= start, checks.c.date < end if end != dt.date.max else true())
            .order_by(checks.c.date)
            .limit(1)
            .subquery()
        )
        for name in processors
    ]
    found = sorted((row.date, row.processor) for row in tx.execute(union_all(*branches)))
    return found[0] if found else None
