"""Checks of dates that are not live: creating those that later dates need, and what is missing of them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cache
from itertools import groupby
from typing import Any

from sqlalchemy import (
    CompoundSelect,
    Connection,
    and_,
    bindparam,
    exists,
    func,
    or_,
    select,
    union_all,
    update,
)

from backfilld.state.pipeline.phase import DONE, FAILED
from backfilld.state.rules.date_outcomes import Outcome
from backfilld.state.rules.season_calendar import Counts
from backfilld.state.rules.verdict import Verdict
from backfilld.state.store.calendar_days import load_counts
from backfilld.state.store.index_conditions import IS_UNSATISFIED
from backfilld.state.store.schema import calendar_days, checks, dates
from backfilld.state.store.sql_helpers import chunked, execute, fetch, upsert

_REQUEST_BETWEEN = (
    update(checks)
    .where(checks.c.date.between(bindparam("_start"), bindparam("_end")), checks.c.attempt_id.is_(None))
    .values(query_due_at=bindparam("_now"), generation=checks.c.generation + 1, runnable=0)
)
_NAMED = checks.c.processor.in_(bindparam("_processors", expanding=True))
_WITHOUT_CHECKS = (
    select(calendar_days.c.date, calendar_days.c.counts)
    .where(calendar_days.c.date.between(bindparam("_start"), bindparam("_end")))
    .where(
        select(func.count()).where(checks.c.date == calendar_days.c.date, _NAMED).scalar_subquery()
        < bindparam("_number")
    )
    .order_by(calendar_days.c.date)
)
_IS_EXPECTED = and_(checks.c.date == dates.c.date, _NAMED, checks.c.verdict != Verdict.NOT_EXPECTED.value)
_OF_DONE_DATES = (
    select(dates.c.date, calendar_days.c.counts, checks.c.processor)
    .join(calendar_days, calendar_days.c.date == dates.c.date)
    .outerjoin(checks, _IS_EXPECTED)
    .where(dates.c.state == DONE, dates.c.outcome != Outcome.NOT_EXPECTED.value)
    .order_by(dates.c.date)
)
_NOT_EXPECTED = (
    select(checks.c.date, checks.c.processor, calendar_days.c.counts)
    .join(calendar_days, calendar_days.c.date == checks.c.date)
    .outerjoin(dates, dates.c.date == checks.c.date)
    .where(
        or_(dates.c.date.is_(None), dates.c.state == FAILED, dates.c.outcome == Outcome.NOT_EXPECTED.value)
    )
    .where(checks.c.verdict == Verdict.NOT_EXPECTED.value)
    .order_by(checks.c.date)
)
_UNSATISFIED_OF_DONE = (
    select(checks.c.date, checks.c.processor, calendar_days.c.counts)
    .join(dates, dates.c.date == checks.c.date)
    .join(calendar_days, calendar_days.c.date == dates.c.date)
    .where(IS_UNSATISFIED, checks.c.waived_by == "", checks.c.attempt_id.is_(None))
    .where(checks.c.verdict != Verdict.NOT_EXPECTED.value)
    .where(dates.c.state == DONE, dates.c.regressed == "")
    .where(dates.c.outcome.not_in([Outcome.NOT_EXPECTED.value, Outcome.SELECTED.value]))
    .order_by(checks.c.date)
)

_UNSATISFIED = (
    select(checks.c.date, checks.c.processor, calendar_days.c.counts)
    .join(calendar_days, calendar_days.c.date == checks.c.date)
    .where(IS_UNSATISFIED, checks.c.attempt_id.is_(None))
    .order_by(checks.c.date)
)

_NOT_REVALIDATED_SINCE = (
    select(checks.c.date, checks.c.processor)
    .where(checks.c.date.between(bindparam("_start"), bindparam("_end")), _NAMED)
    .where(checks.c.asked_at < bindparam("_before"), checks.c.query_due_at.is_(None))
    .where(checks.c.satisfied == 1, checks.c.verdict == Verdict.COMPLETE.value)
    .where(~exists().where(dates.c.date == checks.c.date, dates.c.state != FAILED))
    .order_by(checks.c.date)
)


def create(tx: Connection, expected: Iterable[dt.date], processors: Collection[str], now: float) -> None:
    """Create checks of earlier dates that are not enqueued but that later dates need."""
    values = [
        {"date": date, "processor": name, "query_due_at": now} for date in expected for name in processors
    ]
    if values:
        tx.execute(upsert(tx, checks).on_conflict_do_nothing(), values)


def request_between(tx: Connection, start: dt.date, end: dt.date, now: float) -> None:
    """Request a query for every check from `start` to `end` that no attempt is filling."""
    execute(tx, _REQUEST_BETWEEN, [{"_start": start, "_end": end, "_now": now}])


def without_checks(
    tx: Connection, processors: Collection[str], start: dt.date, end: dt.date
) -> dict[dt.date, Counts | None]:
    """The dates from `start` to `end` that the calendar knows and one of the processors has no check of.

    With what the calendar counts on each, oldest first.
    """
    values = {"_processors": list(processors), "_number": len(processors), "_start": start, "_end": end}
    return {row.date: load_counts(row.counts) for row in fetch(tx, _WITHOUT_CHECKS, values)}


def not_revalidated_since(
    tx: Connection, processors: Collection[str], start: dt.date, end: dt.date, before: float
) -> list[tuple[dt.date, str]]:
    """The complete outputs from `start` to `end` that were last queried before a time.

    Of dates that were never enqueued, or failed: done ones are revalidated by the sweep.
    """
    span = {"_start": start, "_end": end, "_before": before}
    rows = fetch(tx, _NOT_REVALIDATED_SINCE, {**span, "_processors": list(processors)})
    return [(row.date, row.processor) for row in rows]


def settled_between(
    tx: Connection, processors: Collection[str], start: dt.date, end: dt.date
) -> set[tuple[str, dt.date]]:
    """The pairs from `start` to `end`, both included, that are satisfied, or that an attempt is filling."""
    here = (_NAMED, checks.c.date.between(start, end))
    settled = select(checks.c.processor, checks.c.date).where(
        *here, or_(checks.c.satisfied == 1, checks.c.attempt_id.is_not(None))
    )
    return {(row.processor, row.date) for row in tx.execute(settled, {"_processors": list(processors)})}


def of_done_dates(
    tx: Connection, processors: Collection[str]
) -> Iterator[tuple[dt.date, Counts | None, set[str]]]:
    """The done dates that were expected, oldest first, with what the calendar counts on each.

    And those of the processors that have a check of the date with another verdict than `not_expected`.
    """
    # One after another: there may be a million.
    rows = tx.execute(_OF_DONE_DATES, {"_processors": list(processors)})
    for (date, counts), of_date in groupby(rows, lambda row: (row.date, row.counts)):
        yield date, load_counts(counts), {row.processor for row in of_date if row.processor is not None}


def not_expected(tx: Connection) -> list[tuple[dt.date, Counts | None, str]]:
    """The outputs that were not expected, with what the calendar counts on their dates.

    Of dates that failed, were never enqueued, or are done because nothing was expected.
    """
    return [(row.date, load_counts(row.counts), row.processor) for row in fetch(tx, _NOT_EXPECTED)]


def unsatisfied_of_done_dates(tx: Connection) -> list[tuple[dt.date, Counts | None, str]]:
    """The unsatisfied outputs of done dates that are not marked for them, with what the calendar counts.

    Of processors that the pipeline file did not have when the date ended.
    """
    rows = fetch(tx, _UNSATISFIED_OF_DONE)
    return [(row.date, load_counts(row.counts), row.processor) for row in rows]


def unsatisfied(tx: Connection) -> Iterator[tuple[dt.date, Counts | None, str]]:
    """All unsatisfied outputs that no attempt is filling, with what the calendar counts on their dates."""
    for row in fetch(tx, _UNSATISFIED):
        yield row.date, load_counts(row.counts), row.processor


def earliest_unsatisfied(
    tx: Connection, processors: Sequence[str], start: dt.date
) -> tuple[dt.date, str] | None:
    """The first date from `start` on with an unsatisfied check of the processors, and its processor."""
    found: list[tuple[dt.date, str]] = []
    for chunk in chunked(processors):
        values: dict[str, object] = {f"_processor{n}": name for n, name in enumerate(chunk)}
        rows = fetch(tx, _first_unsatisfied(len(chunk)), {**values, "_start": start})
        found += [(row.date, row.processor) for row in rows]
    return min(found, default=None)


@cache
def _first_unsatisfied(branches: int) -> CompoundSelect[Any]:
    return union_all(
        *(
            select(
                select(checks.c.date, checks.c.processor)
                .where(IS_UNSATISFIED, checks.c.processor == bindparam(f"_processor{number}"))
                .where(checks.c.date >= bindparam("_start"))
                .order_by(checks.c.date)
                .limit(1)
                .subquery()
            )
            for number in range(branches)
        )
    )
