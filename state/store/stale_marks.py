"""Stale outputs: the marks of outputs and their dates, with the inputs that made each output stale."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Date,
    Float,
    Insert,
    String,
    and_,
    bindparam,
    case,
    delete,
    exists,
    func,
    literal,
    or_,
    select,
    text,
    update,
)

from backfilld.state.pipeline.phase import DONE, FAILED
from backfilld.state.records import DateRow, RunMode
from backfilld.state.rules.needs_graph import Pair, Span
from backfilld.state.rules.verdict import Verdict
from backfilld.state.store import row_mappers
from backfilld.state.store.checks import REQUESTED
from backfilld.state.store.schema import HAS_OUTPUT, checks, dates, stale_causes
from backfilld.state.store.sql_helpers import execute, fetch, fetch_one, upsert_in


@dataclass(frozen=True, slots=True)
class StaleCause:
    """An input of a stale output: it was repaired at a time in epoch seconds, or was stale itself."""

    date: dt.date
    processor: str
    at: float
    was_stale: bool = False
    date_failed: bool = False
    """Whether the date of the input has failed since: a retry of stale dates does not run it."""


@dataclass(frozen=True, slots=True)
class NotStale:
    """An output that is not stale."""

    started_at: float | None
    """When its latest attempt began, in epoch seconds; None without one."""
    is_done: bool
    """Whether its date is done."""


def _ran_since(at: object) -> ColumnElement[bool]:
    """Condition: a successful attempt started at or after `at`, and it is not known to have left old rows.

    Where there are none, an unchanged stamp says that it found nothing to write.
    """
    is_empty = and_(checks.c.rows == 0, checks.c.verdict != Verdict.UNTOUCHED.value)
    left_rows = and_(checks.c.stamp_before == checks.c.write_stamp, is_empty.is_not(True))
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


def _latest(column: ColumnElement[float | None], at: ColumnElement[float]) -> ColumnElement[float]:
    """The later one of a column, which may be NULL, and `at`."""
    return case((column > at, column), else_=at)


_AT: BindParameter[float] = bindparam("_at", type_=Float())
_IS_MARKED = checks.c.stale_at.is_not(None)
_THEIRS = checks.c.processor.in_(bindparam("_processors", expanding=True))
_COMPUTED_BEFORE = (
    checks.c.date.between(bindparam("_first"), bindparam("_last")),
    _THEIRS,
    text(f"({HAS_OUTPUT})"),
    or_(_older(_AT), checks.c.attempt_id.is_not(None)),
)
"""The outputs of a span of dates from before a repair. Output that is being computed counts as such."""
_MARK_CHECKS = update(checks).where(*_COMPUTED_BEFORE).values(stale_at=_latest(checks.c.stale_at, _AT))
_MARK_DATES = (
    update(dates)
    .where(dates.c.date.between(bindparam("_first"), bindparam("_last")))
    .where(exists().where(checks.c.date == dates.c.date, *_COMPUTED_BEFORE))
    .values(stale_at=_latest(dates.c.stale_at, _AT))
)
_COLUMNS = ("date", "processor", "upstream_date", "upstream", "at", "was_stale")
_KEY = _COLUMNS[:4]
_SOME_DATES: BindParameter[Sequence[dt.date]] = bindparam("_dates", expanding=True)
_OF_DATES = checks.c.date.in_(_SOME_DATES)
_OUTPUTS = (
    select(checks.c.date, checks.c.processor)
    .where(checks.c.date.between(bindparam("_first"), bindparam("_last")), _THEIRS)
    .where(checks.c.verdict != Verdict.NOT_EXPECTED.value, text(f"({HAS_OUTPUT})"))
)
_GAP_DAYS = 31
"""Dates further apart are read by separate queries."""
_OF_OUTPUT = and_(stale_causes.c.date == checks.c.date, stale_causes.c.processor == checks.c.processor)
_HAS_CAUSE = exists().where(_OF_OUTPUT)
"""Condition: it is known which repair made the check's output stale. Without one, `settle` takes the mark."""
_FIRST_MARKED = select(checks.c.date).where(_IS_MARKED).order_by(checks.c.date).limit(1)
_STALE = (
    select(checks.c.date, checks.c.processor)
    .where(_IS_MARKED, checks.c.date.between(bindparam("_first"), bindparam("_last")))
    .where(_older(checks.c.stale_at), _HAS_CAUSE)
    .where(exists().where(dates.c.date == checks.c.date))
)
_NEWLY_MARKED = (
    select(checks.c.date, checks.c.processor)
    .where(*_COMPUTED_BEFORE, _IS_MARKED)
    .where(~exists().where(_OF_OUTPUT, _older(stale_causes.c.at)))
    .where(exists().where(dates.c.date == checks.c.date))
)
"""The outputs that a repair has just marked and that no other cause made stale before."""
_IS_DONE = exists().where(dates.c.date == checks.c.date, dates.c.state == DONE)
_NOT_STALE = _OUTPUTS.where(or_(~_IS_MARKED, _older(checks.c.stale_at).is_not(True))).add_columns(
    checks.c.last_attempt_started_at, _IS_DONE.label("is_done")
)
_INPUTS = dates.alias("inputs")
_CAUSES = (
    select(stale_causes, (_INPUTS.c.state == FAILED).label("date_failed"))
    .join(checks, _OF_OUTPUT)
    .outerjoin(_INPUTS, _INPUTS.c.date == stale_causes.c.upstream_date)
    .where(_OF_DATES, _IS_MARKED)
    .where(or_(_older(stale_causes.c.at), checks.c.attempt_id.is_not(None)))
    .order_by(*(stale_causes.c[name] for name in ("date", "processor", "upstream_date", "upstream")))
)
_BY_REPAIR = and_(
    _OF_OUTPUT,
    stale_causes.c.upstream_date == bindparam("_date"),
    stale_causes.c.upstream.in_(bindparam("_names", expanding=True)),
    _older(stale_causes.c.at),
)
"""Condition: a cause of a stale check is one of some outputs of a date."""
_MADE_STALE = (
    select(dates)
    .where(dates.c.date > bindparam("_date"), dates.c.state == DONE)
    .where(dates.c.date.in_(select(stale_causes.c.date).join(checks, _BY_REPAIR).where(_IS_MARKED)))
    .order_by(dates.c.date)
)
_JOIN_CASCADE = (
    update(dates)
    .where(dates.c.ended_at.is_(None), dates.c.date > bindparam("_date"), dates.c.cascades == 0)
    .where(dates.c.date.in_(select(stale_causes.c.date).join(checks, _BY_REPAIR).where(_IS_MARKED)))
    .values(cascades=1)
)
_RERUN = (
    update(checks)
    .where(_IS_MARKED, checks.c.attempt_id.is_(None))
    .where(or_(checks.c.accepted_reason == "", checks.c.verdict == Verdict.COMPLETE.value))
    .where(or_(checks.c.mode != RunMode.FORCE.value, checks.c.satisfied == 1))
    .where(exists().where(_BY_REPAIR))
    .where(checks.c.date.in_(select(dates.c.date).where(dates.c.cascades == 1, dates.c.ended_at.is_(None))))
    .values(mode=RunMode.FORCE.value, satisfied=0, accepted_by="", accepted_reason="", waived_by="")
    .values(waiver_reason="", attempt_count=0, clean_attempts=0, retry_at=None)
    .values(query_due_at=bindparam("_now"), **REQUESTED)
    .returning(checks.c.date)
)


_SETTLE = (
    update(checks)
    .where(_OF_DATES, _IS_MARKED, or_(~_THEIRS, _older(checks.c.stale_at).is_not(True), ~_HAS_CAUSE))
    .values(stale_at=None),
    delete(stale_causes).where(stale_causes.c.date.in_(_SOME_DATES), ~exists().where(_OF_OUTPUT, _IS_MARKED)),
    update(dates)
    .where(dates.c.date.in_(_SOME_DATES))
    .values(
        stale_at=select(func.max(checks.c.stale_at)).where(checks.c.date == dates.c.date).scalar_subquery()
    ),
)
"""Take the mark from what was computed since or was removed; mark the dates of the others."""
_FORGET_CAUSES = (
    delete(stale_causes)
    .where(stale_causes.c.date == bindparam("_date"), stale_causes.c.processor == bindparam("_processor"))
    .where(exists().where(_OF_OUTPUT, _ran_since(stale_causes.c.at)))
)


def mark_stale(
    tx: Connection, repaired: Pair, span: Span, at: float, processors: Collection[str]
) -> set[Pair]:
    """Mark what dates of the span have of `processors` from before `at`, when `repaired` was repaired.

    Returns the outputs that were not stale before, without those of dates that were never enqueued.
    """
    here = {"_first": span.first, "_last": span.last, "_processors": list(processors), "_at": at}
    if not execute(tx, _MARK_CHECKS, [here]):
        return set()
    new = {(row.date, row.processor) for row in fetch(tx, _NEWLY_MARKED, here)}
    execute(tx, _MARK_DATES, [here])
    date, upstream = repaired
    execute(tx, _add_causes(tx.dialect.name), [{**here, "_date": date, "_upstream": upstream}])
    return new


@cache
def _add_causes(dialect: str) -> Insert:
    """Note one repaired output as the cause of all that it makes stale."""
    cause = (bindparam("_date", type_=Date()), bindparam("_upstream", type_=String()), _AT, literal(0))
    marked = select(checks.c.date, checks.c.processor, *cause).where(*_COMPUTED_BEFORE)
    new = upsert_in(dialect, stale_causes).from_select(_COLUMNS, marked)
    latest = case((stale_causes.c.at > new.excluded.at, stale_causes.c.at), else_=new.excluded.at)
    return new.on_conflict_do_update(index_elements=_KEY, set_={"at": latest, "was_stale": 0})


def mark_computed_from_stale(tx: Connection, causes: Mapping[Pair, Collection[StaleCause]]) -> None:
    """Mark outputs that were computed from stale ones. Their dates are marked once they have ended."""
    rows = [
        {"date": date, "processor": name, "upstream_date": cause.date, "upstream": cause.processor}
        | {"at": cause.at, "was_stale": int(cause.was_stale)}
        for (date, name), of_output in causes.items()
        for cause in of_output
    ]
    if not rows:
        return
    added = upsert_in(tx.dialect.name, stale_causes)
    # An output that has run again from the same stale input names it again.
    newer = {"at": added.excluded.at, "was_stale": added.excluded.was_stale}
    tx.execute(
        added.on_conflict_do_update(
            index_elements=_KEY, set_=newer, where=stale_causes.c.at < added.excluded.at
        ),
        rows,
    )
    here = (checks.c.date == bindparam("_date"), checks.c.processor == bindparam("_processor"))
    marks = [
        {"_date": date, "_processor": name, "_at": max(cause.at for cause in of_output)}
        for (date, name), of_output in causes.items()
    ]
    tx.execute(update(checks).where(*here).values(stale_at=_latest(checks.c.stale_at, _AT)), marks)


def forget_causes_before_attempt(tx: Connection, outputs: Iterable[Pair]) -> None:
    """Forget the causes that outputs were computed after, before they are computed once more.

    A check knows its latest attempt alone: if the next one fails, nothing shows that this one succeeded.
    """
    execute(tx, _FORGET_CAUSES, [{"_date": date, "_processor": name} for date, name in outputs])


def rerun_in_cascades(tx: Connection, date: dt.date, names: Collection[str], now: float) -> set[dt.date]:
    """Have live dates that cascade rewrite what these outputs of a date made stale, after a query.

    What is accepted of them and missing stays so: only a request that names a waiver withdraws it. Returns
    the dates concerned.
    """
    return set(tx.execute(_RERUN, {"_date": date, "_names": list(names), "_now": now}).scalars())


def join_cascade(tx: Connection, date: dt.date, names: Collection[str]) -> None:
    """Have the live dates cascade that have an output that is stale because of these outputs of a date."""
    execute(tx, _JOIN_CASCADE, [{"_date": date, "_names": list(names)}])


def first_marked(tx: Connection) -> dt.date | None:
    """The first date with a marked output; None without any."""
    row = fetch_one(tx, _FIRST_MARKED)
    return row.date if row else None


def stale_pairs(tx: Connection, first: dt.date, last: dt.date) -> set[Pair]:
    """The stale outputs from `first` to `last`, both included, that no attempt has computed since.

    Dates that were never enqueued are left out: no retry could compute theirs.
    """
    return {(row.date, row.processor) for row in fetch(tx, _STALE, {"_first": first, "_last": last})}


def existing(tx: Connection, wanted: Collection[Pair]) -> set[Pair]:
    """Those of some outputs that are expected, and exist or may exist."""
    names = sorted({name for _, name in wanted})
    found: set[Pair] = set()
    for first, last in _dense_spans(sorted({date for date, _ in wanted})):
        span = {"_first": first, "_last": last, "_processors": names}
        found |= {(row.date, row.processor) for row in fetch(tx, _OUTPUTS, span)}
    return found.intersection(wanted)


def not_stale(tx: Connection, spans: Mapping[str, Sequence[Span]]) -> dict[Pair, NotStale]:
    """The outputs that exist or may exist in the spans of their processors, without stale ones."""
    names_by_span: dict[Span, list[str]] = defaultdict(list)
    for name, of_one in spans.items():
        for span in of_one:
            names_by_span[span].append(name)
    return {
        (row.date, row.processor): NotStale(row.last_attempt_started_at, bool(row.is_done))
        for span, names in names_by_span.items()
        for row in fetch(tx, _NOT_STALE, {"_first": span.first, "_last": span.last, "_processors": names})
    }


def _dense_spans(sorted_dates: Iterable[dt.date]) -> list[list[dt.date]]:
    """The first and the last date of spans that cover the dates and few others."""
    spans: list[list[dt.date]] = []
    for date in sorted_dates:
        if spans and (date - spans[-1][1]).days <= _GAP_DAYS:
            spans[-1][1] = date
        else:
            spans.append([date, date])
    return spans


def stale_outputs(tx: Connection, marked: Collection[dt.date]) -> dict[dt.date, dict[str, list[StaleCause]]]:
    """The stale outputs of each date with their causes, by processor; without those that ran since."""
    found: dict[dt.date, dict[str, list[StaleCause]]] = {date: defaultdict(list) for date in marked}
    if found:
        for row in fetch(tx, _CAUSES, {"_dates": list(found)}):
            failed = bool(row.was_stale and row.date_failed)
            cause = StaleCause(row.upstream_date, row.upstream, row.at, bool(row.was_stale), failed)
            found[row.date][row.processor].append(cause)
    return found


def made_stale_by(tx: Connection, date: dt.date, names: Collection[str]) -> list[DateRow]:
    """The done dates after `date` with an output that is stale because of these of it, oldest first."""
    return [row_mappers.date(row) for row in fetch(tx, _MADE_STALE, {"_date": date, "_names": list(names)})]


def settle(tx: Connection, ended: Collection[dt.date], processors: Iterable[str]) -> None:
    """Take the mark from outputs of ended dates that were computed since; mark the dates of the others.

    Processors that the pipeline file no longer has leave no mark.
    """
    here = {"_dates": list(ended), "_processors": list(processors)}
    for change in _SETTLE:
        execute(tx, change, [here])
