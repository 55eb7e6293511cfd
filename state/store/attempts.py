"""Attempts: claimed here before a process starts, closed here after it ended."""

from __future__ import annotations

import datetime as dt
import re
import sqlite3
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from backfilld.state.base_errors import BackfilldError
from backfilld.state.records import AttemptRow, AttemptStatus, CheckRow
from backfilld.state.rules.evidence import HistoryRun
from backfilld.state.rules.verdict import Verdict
from backfilld.state.store import row_mappers
from backfilld.state.store.index_conditions import ENDED_WELL, IS_RUNNING
from backfilld.state.store.schema import attempt_dates, attempts
from backfilld.state.store.sql_helpers import execute, fetch, insert_row


class Busy(BackfilldError):
    """The claim would break a rule that the database enforces."""


class PhaseBusy(Busy):
    """An attempt of this sequential phase is running."""


class TableBusy(Busy):
    """All writers of this output table are at work."""


_RULES: dict[str, type[Busy]] = {
    "one_attempt_per_sequential_phase": PhaseBusy,
    "attempts.sequence": PhaseBusy,
    "one_writer_per_table": TableBusy,
    "attempts.output": TableBusy,
}

# Statements are built once: building one costs more than SQLite takes to run it.
_THIS = attempts.c.id == bindparam("_id")
_GET = select(attempts).where(_THIS)
# Sorted by whoever asks: SQLite would read all attempts that ever were to have them in order.
_RUNNING = select(attempts).where(IS_RUNNING)
_INSERT = insert(attempts)
_COVER = insert(attempt_dates)
_RECORD = update(attempts).where(_THIS).values(handle=bindparam("_handle"), started_at=bindparam("_now"))
_ENDING = ("status", "ended_at", "exit_code", "detail", "tail", "max_rss_bytes", "cpu_seconds")
_CLOSE = update(attempts).where(_THIS, IS_RUNNING).values({name: bindparam(f"_{name}") for name in _ENDING})
_COVERED = (
    select(attempt_dates)
    .where(attempt_dates.c.attempt_id.in_(bindparam("_ids", expanding=True)))
    .order_by(attempt_dates.c.date)
)
_ENDED_OF_DATES = (
    select(attempt_dates.c.date.label("day"), attempts.c.processor, attempts.c.started_at, attempts.c.id)
    .add_columns(attempts.c.output, attempts.c.ended_at, attempts.c.exit_code)
    .add_columns(attempt_dates.c.verdict, attempt_dates.c.verdict_reason)
    .join_from(attempt_dates, attempts)
    .where(attempts.c.ended_at.is_not(None), attempt_dates.c.date.in_(bindparam("_dates", expanding=True)))
)
_DATE_COUNT = select(func.count()).where(attempt_dates.c.attempt_id == attempts.c.id).correlate(attempts)
SECONDS_PER_DATE = (attempts.c.ended_at - attempts.c.started_at) / _DATE_COUNT.scalar_subquery()
_LATEST_LENGTHS = (
    select(SECONDS_PER_DATE.label("seconds"))
    .where(attempts.c.processor == bindparam("_processor"), ENDED_WELL)
    .order_by(attempts.c.ended_at.desc())
    .limit(bindparam("_sample"))
)
"""The duration of an ended attempt, divided by the number of its dates."""
_WITH_ROW_COUNT = (Verdict.COMPLETE, Verdict.PARTIAL, Verdict.EXCESS)
"""Verdicts of rows whose reason begins with how many there are."""
_WITH_ROWS = (*_WITH_ROW_COUNT, Verdict.DEGRADED, Verdict.UNTOUCHED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A right to run one processor's job for some dates."""

    dates: tuple[dt.date, ...]
    processor: str
    phase: str
    backfill_id: int
    executor: str
    output: str
    writer: int
    sequence: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptEnd:
    """How an attempt ended."""

    status: AttemptStatus
    ended_at: float
    exit_code: int | None = None
    detail: str = ""
    tail: str = ""
    max_rss_bytes: int | None = None
    cpu_seconds: float | None = None

    @property
    def ended_well(self) -> bool:
        """Whether its process exited with code 0."""
        return self.exit_code == 0


def claim(tx: Connection, wanted: Claim, now: float) -> int:
    """Insert a running attempt and return its id. `cover` adds its dates.

    Raises:
        PhaseBusy: an attempt of this sequential phase is running.
        TableBusy: this writer of the table is at work.
    """
    values = {
        "date": wanted.dates[0],
        "processor": wanted.processor,
        "phase": wanted.phase,
        "backfill_id": wanted.backfill_id,
        "executor": wanted.executor,
        "output": wanted.output,
        "writer": wanted.writer,
        "sequence": wanted.sequence,
        "status": AttemptStatus.RUNNING.value,
        "claimed_at": now,
        "started_at": now,
    }
    try:
        return insert_row(tx, _INSERT, values)
    except (IntegrityError, sqlite3.IntegrityError) as error:
        for word, rule in _RULES.items():
            if word in str(error):
                raise rule(str(error)) from error
        raise


def cover(tx: Connection, dates: Mapping[int, Iterable[dt.date]]) -> None:
    """Insert which dates new attempts cover."""
    values = [{"attempt_id": number, "date": date} for number, covered in dates.items() for date in covered]
    execute(tx, _COVER, values)


def record_handles(tx: Connection, handles: Mapping[int, str], now: float) -> None:
    """Note how to find the jobs again, and when they began."""
    values = [{"_id": number, "_handle": handle, "_now": now} for number, handle in handles.items()]
    execute(tx, _RECORD, values)


def mark_stopping(tx: Connection, numbers: Collection[int], why: AttemptStatus) -> None:
    """Note why running attempts are being ended; the first reason stays."""
    if numbers:
        here = (
            attempts.c.id.in_(numbers),
            IS_RUNNING,
            attempts.c.stopping.is_(None),
        )
        tx.execute(update(attempts).where(*here).values(stopping=why.value))


def mark_lost(tx: Connection, number: int) -> None:
    """Note that an operator has declared a running attempt lost, whatever else it was being ended for."""
    here = (attempts.c.id == number, IS_RUNNING)
    tx.execute(update(attempts).where(*here).values(stopping=AttemptStatus.LOST.value))


def close(tx: Connection, endings: Mapping[int, AttemptEnd]) -> list[int]:
    """Close running attempts; those that were not closed already."""
    open_ones = [row.id for row in running(tx) if row.id in endings]
    values = [{**_ended(endings[number]), "_id": number} for number in open_ones]
    execute(tx, _CLOSE, values)
    return open_ones


def _ended(ending: AttemptEnd) -> dict[str, object]:
    values = {f"_{name}": getattr(ending, name) for name in _ENDING}
    return {**values, "_status": ending.status.value}


def get(tx: Connection, number: int) -> AttemptRow | None:
    """One attempt."""
    row = tx.execute(_GET, {"_id": number}).one_or_none()
    return row_mappers.attempt(row) if row else None


def running(tx: Connection) -> list[AttemptRow]:
    """All attempts under way, oldest first."""
    return sorted((row_mappers.attempt(row) for row in fetch(tx, _RUNNING)), key=lambda row: row.id)


def reassign(tx: Connection, leads: Mapping[int, int]) -> None:
    """Count attempts for other backfills, which want their dates."""
    values = [{"_id": number, "_backfill": lead} for number, lead in leads.items()]
    if values:
        tx.execute(update(attempts).where(_THIS).values(backfill_id=bindparam("_backfill")), values)


def covered(tx: Connection, numbers: Collection[int]) -> dict[int, list[dt.date]]:
    """The dates that each of some attempts covers, in order."""
    found: dict[int, list[dt.date]] = {number: [] for number in numbers}
    for row in fetch(tx, _COVERED, {"_ids": list(numbers)}):
        found[row.attempt_id].append(row.date)
    return found


def for_date(tx: Connection, date: dt.date) -> list[AttemptRow]:
    """All attempts that covered a date, oldest first."""
    query = select(attempts).join(attempt_dates, attempt_dates.c.attempt_id == attempts.c.id)
    query = query.where(attempt_dates.c.date == date).order_by(attempts.c.id)
    return [row_mappers.attempt(row) for row in tx.execute(query)]


def with_attempt_history(tx: Connection, known: Sequence[CheckRow]) -> list[CheckRow]:
    """The checks with all ended attempts on their output, not the latest alone, and what each has left."""
    tried = {(c.date, c.processor): c.output for c in known if c.last_attempt_started_at is not None}
    if not tried:
        return list(known)
    runs: dict[tuple[dt.date, str], tuple[HistoryRun, ...]] = defaultdict(tuple)
    for row in fetch(tx, _ENDED_OF_DATES, {"_dates": list({date for date, _ in tried})}):
        known_output = tried.get((row.day, row.processor)) == row.output
        run = HistoryRun(
            succeeded=row.exit_code == 0,
            started_at=row.started_at,
            ended_at=row.ended_at,
            left=_left(row.id, row.verdict, row.verdict_reason or "") if known_output else "",
        )
        if (row.day, row.processor) in tried:
            runs[row.day, row.processor] += (run,)
    return [check._replace(previous_attempts=runs[check.date, check.processor]) for check in known]


def _left(number: int, verdict: str | None, reason: str) -> str:
    """What an attempt has left, by the verdict that followed it; empty where there were no rows."""
    if verdict not in _WITH_ROWS or reason.startswith("no rows"):
        return ""
    rows = re.split("; |, ", reason)[0] if verdict in _WITH_ROW_COUNT else ""
    return f"what attempt {number} left{f' ({rows})' if rows else ''}"


def typical_seconds(tx: Connection, processor: str, sample: int = 20) -> float | None:
    """Median seconds per date of the processor's latest attempts that exited with 0; None without any."""
    rows = fetch(tx, _LATEST_LENGTHS, {"_processor": processor, "_sample": sample})
    lengths = sorted(row.seconds for row in rows)
    return float(lengths[len(lengths) // 2]) if lengths else None
