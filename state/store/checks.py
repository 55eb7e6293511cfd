"""Checks: the latest verdict of each (date, processor), which queries are due, and what may run."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, Update, and_, bindparam, case, func, or_, select, update

from backfilld.state.records import CheckRow, RunMode, Runnable
from backfilld.state.rules.judge import Judgement
from backfilld.state.rules.needs_graph import Pair
from backfilld.state.rules.verdict import Verdict
from backfilld.state.store import row_mappers
from backfilld.state.store.backfill_dates import WANTED_DATES
from backfilld.state.store.dates import IMMEDIATELY, make_dates_due
from backfilld.state.store.index_conditions import AWAITS_PERIOD, IS_RUNNABLE
from backfilld.state.store.schema import checks, dates
from backfilld.state.store.sql_helpers import execute, fetch, fetch_one, select_by_dates, upsert

# Statements are built once: building one costs more than SQLite takes to run it.
_THIS = (checks.c.date == bindparam("_date"), checks.c.processor == bindparam("_processor"))
REQUESTED: dict[str, Any] = {"generation": checks.c.generation + 1, "runnable": 0}
"""What a request of a check sets, beside when to query."""
_REQUEST = update(checks).where(*_THIS).values(query_due_at=bindparam("_at"), **REQUESTED)
_DUE = checks.c.query_due_at <= bindparam("_now")
# By a function of the date: by the date itself, SQLite would read all checks in its order to find those due.
_DUE_CHECKS = select(checks).where(_DUE).order_by(func.date(checks.c.date)).limit(bindparam("_limit"))
_NTH_DUE = select(checks.c.date).where(_DUE).limit(1).offset(bindparam("_before"))
_IS_NAMED = checks.c.processor.in_(bindparam("_processors", expanding=True))
_QUERIED = (checks.c.date, checks.c.processor, checks.c.generation, checks.c.asked_at)
_IS_WRITTEN = checks.c.attempt_id.is_not(None)
"""An attempt writes the output: whatever its rows are now and whoever waived it, it satisfies no need yet."""
_IS_ACCEPTED = checks.c.accepted_reason != ""
_IS_WAIVED = checks.c.waived_by != ""
_IS_KEPT = or_(checks.c.mode != RunMode.WAIVED.value, checks.c.satisfied == 1)  # as its date's pass says
_HAS_WAIVER = or_(_IS_ACCEPTED, and_(_IS_WAIVED, _IS_KEPT))
_OWES_REWRITE = and_(
    or_(checks.c.mode == RunMode.FORCE.value, checks.c.mode == RunMode.CASCADE.value),
    bindparam("_verdict") == Verdict.COMPLETE.value,
    bindparam("_is_rewritten") == 0,
)
"""What a request is to rewrite, or may have to, does not satisfy a need of it before that is settled."""
_SAVE = (
    update(checks)
    .where(*_THIS)
    .values(
        verdict=bindparam("_verdict"),
        satisfied=case((_IS_WRITTEN, 0), (_HAS_WAIVER, 1), (_OWES_REWRITE, 0), else_=bindparam("_satisfied")),
        output=bindparam("_output"),
        # What could not be counted is as it was when it last was.
        rows=case((bindparam("_counts_rows") == 1, bindparam("_rows")), else_=checks.c.rows),
        expected=bindparam("_expected"),
        reason=bindparam("_reason"),
        asked_at=bindparam("_asked_at"),
        query_due_at=bindparam("_again"),
        # A query that did not read it leaves it as it was.
        write_stamp=case(
            (bindparam("_reads_stamp") == 1, bindparam("_write_stamp")), else_=checks.c.write_stamp
        ),
        # What was rewritten is not rewritten again for this request.
        mode=case((bindparam("_is_rewritten") == 1, RunMode.NORMAL.value), else_=checks.c.mode),
    )
)
_IS_UNTRIED = or_(checks.c.mode == RunMode.NORMAL.value, checks.c.mode == RunMode.WAIVED.value)
TO_BE_TRIED = case((_IS_UNTRIED, RunMode.RETRY.value), else_=checks.c.mode)
"""The mode of what is tried although trusted to have no data, or waived; a rewrite that is due stays due."""
_DATE_PRIORITY = select(dates.c.priority).where(dates.c.date == checks.c.date).scalar_subquery()
_SET_SATISFIED = update(checks).where(*_THIS).values(satisfied=1, mode=RunMode.NORMAL.value)
_FORGET_ATTEMPTS = (
    update(checks).where(*_THIS).values(attempt_count=0, clean_attempts=0, retry_at=None, mode=TO_BE_TRIED)
)
_SET_MODE = update(checks).where(*_THIS).values(mode=bindparam("_mode"))
STANDS = or_(*(checks.c.verdict == v.value for v in Verdict if v.satisfied))
"""Condition: the output is satisfied by itself, without a waiver."""
_STAYS = case((or_(STANDS, _IS_ACCEPTED), checks.c.satisfied), else_=0)
_CLEAR_WAIVERS = update(checks).where(*_THIS).values(waived_by="", waiver_reason="", satisfied=_STAYS)
_SET_RUNNABLE = update(checks).where(*_THIS).values(runnable=bindparam("_runnable"), priority=_DATE_PRIORITY)
_IS_READY = or_(IS_RUNNABLE, AWAITS_PERIOD)
_CLEAR_RUNNABLE = update(checks).where(*_THIS, _IS_READY).values(runnable=0)
_CLEAR_ALL_RUNNABLE = update(checks).where(_IS_READY).values(runnable=0)
_CLEAR_RUNNABLE_OF = _CLEAR_ALL_RUNNABLE.where(checks.c.date.in_(WANTED_DATES))
_CLAIM = (
    update(checks)
    .where(*_THIS)
    .values(
        attempt_id=bindparam("_attempt"),
        runnable=0,
        satisfied=0,  # a refresh and a rewrite run complete outputs: no date is computed from one meanwhile
        attempt_count=checks.c.attempt_count + 1,
        stamp_before=checks.c.write_stamp,
        # Not known until it is read after the attempt: an attempt may write without changing any count.
        write_stamp=None,
    )
)


def _pairs(pairs: Iterable[Pair], **beside: object) -> list[dict[str, object]]:
    return [{"_date": date, "_processor": processor, **beside} for date, processor in pairs]


def _update(tx: Connection, change: Update, pairs: Iterable[Pair], **beside: object) -> None:
    execute(tx, change, _pairs(pairs, **beside))


class CheckResult(NamedTuple):
    """The result of a query for the request `generation`; the query started at `asked_at`."""

    date: dt.date
    processor: str
    output: str
    """The table that was queried."""
    generation: int
    judgement: Judgement
    asked_at: float
    ask_again_at: float | None = None
    reads_stamp: bool = False
    """Whether the query read `write_stamp` too."""
    write_stamp: str | None = None
    is_rewritten: bool = False
    """Whether the output is what an attempt that was to rewrite it has made of it."""
    foreign_write: bool = False
    """Whether the partition was written since its stamp was last read, and no attempt of it began since."""

    def applied_to(self, check: CheckRow) -> CheckRow:
        """The check of a done date as it would be stored with this result."""
        verdict = self.judgement.verdict
        satisfied = bool(check.accepted_reason or check.waived_by) or verdict.satisfied
        return check._replace(verdict=verdict, satisfied=satisfied, reason=self.judgement.reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptResult:
    """The end of an attempt for one pair: when to query, and the columns to set."""

    pair: Pair
    attempt: int
    query_due_at: float
    values: Mapping[str, object]


def for_dates(
    tx: Connection, wanted: Collection[dt.date], processors: Collection[str] | None = None
) -> dict[dt.date, dict[str, CheckRow]]:
    """The checks of some dates, by date and processor: all, or those of some processors."""
    found: dict[dt.date, dict[str, CheckRow]] = {date: {} for date in wanted}
    named = {} if processors is None else {"_processors": list(processors)}
    for row in select_by_dates(tx, checks, found, _IS_NAMED if named else None, values=named):
        found[row.date][row.processor] = row_mappers.check(row)
    return found


def accepted(tx: Connection, wanted: Collection[dt.date]) -> list[CheckRow]:
    """The checks of some dates whose output an operator has accepted."""
    return [row_mappers.check(row) for row in select_by_dates(tx, checks, wanted, _IS_ACCEPTED)]


def waived(tx: Connection, wanted: Collection[dt.date]) -> list[CheckRow]:
    """The checks of some dates whose output the date goes without."""
    return [row_mappers.check(row) for row in select_by_dates(tx, checks, wanted, _IS_WAIVED)]


def complete_rows(
    tx: Connection, processor: str, output: str, first: dt.date, last: dt.date
) -> list[tuple[dt.date, int]]:
    """Date and rows of a processor's complete checks of a table, from `first` to `last`, both included."""
    complete = select(checks.c.date, checks.c.rows).where(
        checks.c.processor == processor,
        checks.c.output == output,
        checks.c.verdict == Verdict.COMPLETE.value,
        checks.c.rows > 0,
        checks.c.date.between(first, last),
    )
    return [(row.date, row.rows) for row in tx.execute(complete)]


def request_check(tx: Connection, pairs: Iterable[Pair], at: float, *, evaluated: bool = False) -> None:
    """Request a query of the warehouse for each pair, not before `at`.

    A request also raises the generation, so that the result of a query under way is discarded; clears
    `runnable`, so that no job starts on old evidence; and makes the dates due where they are live. With
    `evaluated` they are not made due: the caller evaluates them in this same transaction.
    """
    _request(tx, dict.fromkeys(pairs, at), evaluated=evaluated)


def _request(tx: Connection, requests: Mapping[Pair, float], *, evaluated: bool = False) -> None:
    values = [{"_date": date, "_processor": name, "_at": at} for (date, name), at in requests.items()]
    execute(tx, _REQUEST, values)
    if not evaluated:
        make_dates_due(tx, sorted({date for date, _ in requests}), IMMEDIATELY)


def due_checks(tx: Connection, now: float, limit: int) -> list[CheckRow]:
    """The checks whose query is due, oldest date first."""
    return [row_mappers.check(row) for row in fetch(tx, _DUE_CHECKS, {"_now": now, "_limit": limit})]


def batch_is_full(tx: Connection, now: float, most: int) -> bool:
    """Whether at least `most` checks are due."""
    return fetch_one(tx, _NTH_DUE, {"_now": now, "_before": most - 1}) is not None


def save(tx: Connection, answers: Collection[CheckResult]) -> set[Pair]:
    """Save the results of the current generation that are not older than what is known; their pairs.

    Two queries of one generation can overlap: the result of the one that started later stays.
    """
    named = {"_processors": list({answer.processor for answer in answers})}
    dates_answered = {answer.date for answer in answers}
    rows = select_by_dates(tx, checks, dates_answered, _IS_NAMED, _QUERIED, named)
    known = {(row.date, row.processor): row for row in rows}
    kept = [answer for answer in answers if _is_current(answer, known.get((answer.date, answer.processor)))]
    execute(tx, _SAVE, [_saved(answer) for answer in kept])
    return {(answer.date, answer.processor) for answer in kept}


def _is_current(answer: CheckResult, known: Row[Any] | None) -> bool:
    if known is None or known.generation != answer.generation:
        return False
    return known.asked_at is None or known.asked_at <= answer.asked_at


def _saved(answer: CheckResult) -> dict[str, object]:
    judgement = answer.judgement
    return {
        "_date": answer.date,
        "_processor": answer.processor,
        "_output": answer.output,
        "_verdict": judgement.verdict.value,
        "_satisfied": int(judgement.verdict.satisfied),
        "_counts_rows": int(judgement.counts_rows),
        "_rows": judgement.rows,
        "_expected": judgement.expected,
        "_reason": judgement.reason,
        "_asked_at": answer.asked_at,
        "_again": answer.ask_again_at,
        "_reads_stamp": int(answer.reads_stamp),
        "_write_stamp": answer.write_stamp,
        "_is_rewritten": int(answer.is_rewritten),
    }


def waive(tx: Connection, date: dt.date, processor: str, *, by: str, reason: str) -> None:
    """Count an unsatisfied check as satisfied, with the waiver and its reason."""
    here = (checks.c.date == date, checks.c.processor == processor)
    tx.execute(update(checks).where(*here).values(waived_by=by, waiver_reason=reason, satisfied=1))


def set_satisfied(tx: Connection, pairs: Iterable[Pair]) -> None:
    """Count complete checks as satisfied that no job of the request may rewrite: nothing is owed."""
    _update(tx, _SET_SATISFIED, pairs)


def set_mode(tx: Connection, pairs: Iterable[Pair], mode: RunMode) -> None:
    """Set how pairs treat an output that is complete, whatever the mode of their dates is."""
    _update(tx, _SET_MODE, pairs, _mode=mode.value)


def forget_attempts(tx: Connection, pairs: Iterable[Pair]) -> None:
    """Count no attempts of pairs that this request has made so far; `no_data = "trust"` needs another one."""
    _update(tx, _FORGET_ATTEMPTS, pairs)


def clear_waivers(tx: Connection, pairs: Iterable[Pair]) -> None:
    """Take back waivers. Outputs that are neither satisfied by themselves nor accepted are missing again."""
    _update(tx, _CLEAR_WAIVERS, pairs)


def accept(tx: Connection, date: dt.date, processor: str, *, actor: str, reason: str, now: float) -> None:
    """Record that an operator accepts a gap; the date may never have been enqueued.

    While an attempt runs, the gap satisfies nothing: the query after its end counts it as satisfied.
    """
    accepted: dict[str, Any] = {"accepted_by": actor, "accepted_reason": reason, "runnable": 0}
    new = upsert(tx, checks).values(date=date, processor=processor, query_due_at=now, satisfied=1, **accepted)
    changed = {**accepted, "satisfied": case((_IS_WRITTEN, 0), else_=1)}
    tx.execute(new.on_conflict_do_update(index_elements=["date", "processor"], set_=changed))


def set_runnable(tx: Connection, pairs: Iterable[Pair], runnable: Runnable = Runnable.NOW) -> None:
    """Let pairs start when there is a free slot, or with the other dates of their period."""
    _update(tx, _SET_RUNNABLE, pairs, _runnable=runnable.value)


def clear_runnable(tx: Connection, pairs: Iterable[Pair]) -> None:
    """Keep pairs from starting."""
    _update(tx, _CLEAR_RUNNABLE, pairs)


def clear_runnable_of(tx: Connection, backfill_id: int) -> None:
    """Keep all checks of the dates that a backfill wants from starting, until these are evaluated again."""
    execute(tx, _CLEAR_RUNNABLE_OF, [{"_backfill": backfill_id}])


def clear_runnable_by(tx: Connection, processors: Collection[str]) -> set[dt.date]:
    """Keep all checks of these processors from starting; the dates that had a runnable one."""
    here = (_IS_READY, checks.c.processor.in_(processors))
    cleared = update(checks).where(*here).values(runnable=0).returning(checks.c.date)
    return set(tx.execute(cleared).scalars())


def clear_all_runnable(tx: Connection) -> None:
    """Keep every check from starting until its date is evaluated again."""
    execute(tx, _CLEAR_ALL_RUNNABLE, [{}])


def claim(tx: Connection, taken: Mapping[int, Iterable[Pair]]) -> None:
    """Record which attempt runs for which pairs."""
    values = [one for number, pairs in taken.items() for one in _pairs(pairs, _attempt=number)]
    execute(tx, _CLAIM, values)


def release(
    tx: Connection,
    results: Sequence[AttemptResult],
    also: Mapping[Pair, float] = MappingProxyType({}),
    still_running: Collection[dt.date] = (),
) -> None:
    """Record that attempts ended, and request a check of each pair, and of those in `also` at their times.

    Makes the dates due, except those of `still_running`, for which other attempts run.
    """
    alike: dict[tuple[str, ...], list[dict[str, object]]] = defaultdict(list)
    for result in results:
        columns = {f"_{name}": value for name, value in result.values.items()}
        columns |= {"_attempt": result.attempt, "_at": result.query_due_at}
        alike[tuple(result.values)] += _pairs([result.pair], **columns)
    for names, values in alike.items():
        execute(tx, _release(names), values)
    _request(tx, also, evaluated=True)
    ended = {date for date, _ in [*also, *(r.pair for r in results)]}
    make_dates_due(tx, sorted(ended.difference(still_running)), IMMEDIATELY)


@cache
def _release(names: tuple[str, ...]) -> Update:
    here = (*_THIS, checks.c.attempt_id == bindparam("_attempt"))
    ended: dict[str, Any] = {name: bindparam(f"_{name}") for name in names}
    return (
        update(checks)
        .where(*here)
        .values(attempt_id=None, query_due_at=bindparam("_at"), **REQUESTED, **ended)
    )
