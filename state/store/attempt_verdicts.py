"""Verdicts of attempts: what the warehouse held after each attempt ended, per date that it covered."""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, bindparam, func, literal_column, or_, select, update

from backfilld.state.records import CheckRow
from backfilld.state.rules.needs_graph import Pair
from backfilld.state.rules.verdict import Verdict
from backfilld.state.store.checks import CheckResult
from backfilld.state.store.index_conditions import ENDED_WELL
from backfilld.state.store.schema import attempt_dates, attempts
from backfilld.state.store.sql_helpers import execute

NOT_THERE = (Verdict.NEVER_RAN, Verdict.NO_DATA, Verdict.FAILED, Verdict.RUNNING, Verdict.UNKNOWN)
"""Verdicts that a later query of the same request may replace: output can appear late."""
LEFT_WRONG = tuple(
    verdict.value
    for verdict in Verdict
    if not verdict.satisfied and verdict not in (Verdict.UNKNOWN, Verdict.RUNNING)
)
"""Values of the verdicts that blame an attempt: the warehouse has answered, and no external run is open."""

_WORST_LAST = (
    *(Verdict.NOT_EXPECTED, Verdict.COMPLETE, Verdict.UNKNOWN, Verdict.RUNNING, Verdict.NO_DATA),
    *(
        Verdict.NEVER_RAN,
        Verdict.DEGRADED,
        Verdict.UNTOUCHED,
        Verdict.EXCESS,
        Verdict.PARTIAL,
        Verdict.FAILED,
    ),
)

_COVERED = attempt_dates.alias("covered")
_LATEST = (
    select(func.max(attempts.c.id))
    .join(_COVERED, _COVERED.c.attempt_id == attempts.c.id)
    .where(
        _COVERED.c.date == bindparam("_date"),
        attempts.c.processor == bindparam("_processor"),
        attempts.c.ended_at.is_not(None),
    )
)
_REPLACEABLE = or_(
    attempt_dates.c.verdict.is_(None),
    *(attempt_dates.c.verdict == literal_column(f"'{verdict}'") for verdict in NOT_THERE),
)
_RECORD = (
    update(attempt_dates)
    .where(
        attempt_dates.c.date == bindparam("_date"),
        attempt_dates.c.attempt_id == _LATEST.scalar_subquery(),
        _REPLACEABLE,
    )
    .values(verdict=bindparam("_verdict"), verdict_reason=bindparam("_reason"))
)
_LASTING = (
    select(attempt_dates.c.verdict)
    .where(
        attempt_dates.c.attempt_id == _LATEST.scalar_subquery(),
        attempt_dates.c.verdict.in_([verdict.value for verdict in Verdict if verdict not in NOT_THERE]),
    )
    .limit(1)
)

_COUNT_FOR_BREAKER = (
    update(attempt_dates)
    .where(attempt_dates.c.attempt_id == _LATEST.scalar_subquery(), attempt_dates.c.breaker_counted == 0)
    .values(breaker_counted=1)
)


class AttemptVerdict(NamedTuple):
    """The verdict that followed an attempt on one date, with its reason."""

    verdict: Verdict
    reason: str


def record(tx: Connection, results: Iterable[tuple[CheckRow, CheckResult]]) -> None:
    """Record the results that follow the latest attempt of their check; `CheckRow` is the check before."""
    values = [
        {
            "_date": result.date,
            "_processor": result.processor,
            "_verdict": result.judgement.verdict.value,
            "_reason": describe(result.judgement.verdict, result.judgement.rows, result.judgement.reason),
        }
        for check, result in results
        if _follows_attempt(check)
    ]
    execute(tx, _RECORD, values)


def judged_before(tx: Connection, pairs: Iterable[Pair]) -> set[Pair]:
    """The pairs whose latest attempt has a lasting verdict already, on any of the dates that it covered."""
    return {
        (date, processor)
        for date, processor in pairs
        if tx.execute(_LASTING, {"_date": date, "_processor": processor}).first() is not None
    }


def count_for_breaker(tx: Connection, pair: Pair) -> bool:
    """Record that the breaker counts the latest attempt of a pair. Returns False if it has done so before."""
    date, processor = pair
    return tx.execute(_COUNT_FOR_BREAKER, {"_date": date, "_processor": processor}).rowcount > 0


def _follows_attempt(check: CheckRow) -> bool:
    """Whether the next verdict is about the latest attempt: the first one, or one that finds late output."""
    if check.attempt_id is not None or check.last_attempt_ended_at is None:
        return False
    return check.follows_attempt or (check.attempt_count > 0 and check.verdict in NOT_THERE)


def describe(verdict: Verdict, rows: int | None, reason: str) -> str:
    """The reason of a verdict; before it the row count, where the rows are as they should be."""
    if rows is None or not verdict.satisfied or (reason and not rows):
        return reason
    counted = f"{rows:,} row" if rows == 1 else f"{rows:,} rows"
    return "; ".join(filter(None, (counted, reason)))


def by_attempt(tx: Connection, numbers: Collection[int]) -> Mapping[int, dict[dt.date, AttemptVerdict]]:
    """The verdicts that followed each of some attempts, by date."""
    here = (attempt_dates.c.attempt_id.in_(numbers), attempt_dates.c.verdict.is_not(None))
    known: dict[int, dict[dt.date, AttemptVerdict]] = defaultdict(dict)
    for row in tx.execute(select(attempt_dates).where(*here).order_by(attempt_dates.c.date)):
        known[row.attempt_id][row.date] = AttemptVerdict(Verdict(row.verdict), row.verdict_reason or "")
    return known


def worst(verdicts: Mapping[dt.date, AttemptVerdict]) -> AttemptVerdict | None:
    """The worst of an attempt's verdicts, with how many of its dates have which; None without any."""
    if not verdicts:
        return None
    unsatisfied = [verdict for verdict in verdicts.values() if not verdict.verdict.satisfied]
    if not unsatisfied or len(verdicts) == 1:
        return max(verdicts.values(), key=lambda followed: _WORST_LAST.index(followed.verdict))
    chosen = max(unsatisfied, key=lambda followed: _WORST_LAST.index(followed.verdict))
    counts = Counter(followed.verdict for followed in unsatisfied)
    first, *others = (verdict for verdict in reversed(_WORST_LAST) if counts[verdict])
    shares = [f"{counts[first]} of {len(verdicts)} dates {first}", *(f"{counts[v]} {v}" for v in others)]
    share = ", ".join(shares).replace("_", " ")
    return AttemptVerdict(chosen.verdict, f"{share}: {chosen.reason}" if chosen.reason else share)


def unsatisfied_with_code_0(tx: Connection, backfill_id: int) -> Mapping[str, int]:
    """The dates of a backfill's attempts that exited with 0 and left something wrong, by verdict."""
    query = select(attempt_dates.c.verdict, func.count()).join(
        attempts, attempts.c.id == attempt_dates.c.attempt_id
    )
    here = (attempts.c.backfill_id == backfill_id, ENDED_WELL, attempt_dates.c.verdict.in_(LEFT_WRONG))
    return {row[0]: row[1] for row in tx.execute(query.where(*here).group_by(attempt_dates.c.verdict))}


def followed_by(verdicts: Collection[str]) -> ColumnElement[bool]:
    """Condition: one of these verdicts, by their values, followed the attempt on one of its dates."""
    here: list[ColumnElement[bool]] = [attempt_dates.c.verdict.in_(verdicts)]
    if Verdict.COMPLETE not in verdicts:
        here.append(attempt_dates.c.verdict != literal_column("'complete'"))  # lets the partial index serve
    return attempts.c.id.in_(select(attempt_dates.c.attempt_id).where(*here))


def has_reason(part: str) -> ColumnElement[bool]:
    """Condition: the reason of a verdict that followed contains `part`, in any case of letters."""
    here = attempt_dates.c.verdict_reason.icontains(part, autoescape=True)
    return attempts.c.id.in_(select(attempt_dates.c.attempt_id).where(here))
