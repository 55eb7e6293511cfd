"""Periods in the engine: which checks may start with the rest of their week or month, and what wakes them.

A check of a processor with `period` that is ready waits (`Runnable.WITH_PERIOD`) until one attempt can take
all dates of the period. Only periods in which something changed are read.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from zoneinfo import ZoneInfo

from backfilld.daemon.engine.context import EngineContext
from backfilld.state.pipeline.phase import FAILED, PENDING
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.pipeline.processor import Processor
from backfilld.state.records import CheckRow, DateRow, RunMode, Runnable
from backfilld.state.rules.attempt_limits import attempts_of
from backfilld.state.rules.compared_processors import with_references
from backfilld.state.rules.date_outcomes import Outcome
from backfilld.state.rules.dates_between import dates_between
from backfilld.state.rules.needs_graph import Pair
from backfilld.state.rules.periods import PeriodDate, PeriodStatus, period_status
from backfilld.state.rules.processor_periods import PeriodKey, period_key
from backfilld.state.rules.refresh_schedule import date_end
from backfilld.state.rules.required_calendar_range import calendar_bounds
from backfilld.state.rules.season_calendar import CountsByDate, Day
from backfilld.state.rules.state_machine import FINAL
from backfilld.state.store import (
    calendar_days,
    checks,
    checks_in_period,
    dates,
    done_and_lookback_date_checks,
    runnable_jobs,
)
from backfilld.state.store.database import Transaction
from backfilld.state.store.runnable_jobs import RunnableCheck

_STORED_ONLY: CountsByDate = MappingProxyType({})


def expected_dates(
    pipeline: Pipeline, key: PeriodKey, days: Mapping[dt.date, Day], now: float
) -> tuple[list[dt.date], list[dt.date]]:
    """The dates of a period on which its processor has output, and those that may still come to be expected.

    The latter are not over, and only what the calendar counts keeps them from being expected. `days` are
    those of the period, as far as the calendar is known.
    """
    name, first, last = key
    processor, seasons = pipeline.processors[name], pipeline.seasons
    stage, today = pipeline.stage_of[name], dt.datetime.fromtimestamp(now, ZoneInfo(pipeline.timezone)).date()
    expected, undecided = [], []
    for date in dates_between(first, last):
        day = days.get(date) or seasons.day(date, None)
        if pipeline.bypassed(stage, day):
            continue
        if pipeline.expects(processor, day):
            expected.append(date)
        elif date >= today and pipeline.expects(processor, seasons.day(date, None)):
            undecided.append(date)
    return expected, undecided


def not_over(pipeline: Pipeline, wanted: Iterable[dt.date], now: float) -> list[dt.date]:
    """Those of the dates that have not ended: no job should fill them yet."""
    zone = ZoneInfo(pipeline.timezone)
    return [date for date in wanted if date_end(date, zone) > now]


def _days(
    tx: Transaction, pipeline: Pipeline, key: PeriodKey, newer: CountsByDate = _STORED_ONLY
) -> dict[dt.date, Day]:
    _, first, last = key
    known = calendar_days.between(tx, first, last)
    known |= {date: newer[date] for date in dates_between(first, last) if date in newer}
    return {date: pipeline.seasons.day(date, counts) for date, counts in known.items()}


def read_status(
    tx: Transaction, context: EngineContext, key: PeriodKey, newer: CountsByDate = _STORED_ONLY
) -> PeriodStatus:
    """What one attempt for a period would take, and what keeps it back.

    `newer` is what the calendar counts now, where that is not stored.
    """
    return _status(tx, context, key, checks_in_period.between(tx, *key), newer)


def _status(
    tx: Transaction,
    context: EngineContext,
    key: PeriodKey,
    of_period: Iterable[CheckRow],
    newer: CountsByDate = _STORED_ONLY,
) -> PeriodStatus:
    pipeline = context.pipeline
    processor, stored = pipeline.processors[key[0]], {check.date: check for check in of_period}
    expected, undecided = expected_dates(pipeline, key, _days(tx, pipeline, key, newer), context.now())
    failed = _failed(tx, [c for date in expected if (c := stored.get(date)) and c.attempt_count])
    return period_status([_member(processor, d, stored.get(d), failed) for d in expected], undecided)


def _failed(tx: Transaction, tried: Sequence[CheckRow]) -> set[dt.date]:
    """Those of the dates with unsatisfied outputs that have failed. What was cancelled did not fail."""
    rows = dates.get_many(tx, [check.date for check in tried if not check.satisfied])
    return {d for d, row in rows.items() if row.state == FAILED and row.outcome != Outcome.CANCELLED.value}


def _member(
    processor: Processor, date: dt.date, check: CheckRow | None, failed: Collection[dt.date]
) -> PeriodDate:
    if check is None:
        return PeriodDate(date=date, satisfied=False, ready=False, used_up=False)
    attempts, limit = attempts_of(processor, check)
    none_left = date in failed or attempts >= limit or check.attempt_count >= processor.max_attempts
    return PeriodDate(
        date=date,
        # In a cascade, a complete output passes its gate, although it satisfies no need yet.
        satisfied=check.satisfied or (check.mode == RunMode.CASCADE and check.verdict.satisfied),
        ready=check.runnable != Runnable.NO,
        used_up=check.attempt_count > 0 and check.attempt_id is None and none_left,
    )


def awaiting(pipeline: Pipeline, names: Iterable[str], date_checks: Mapping[str, CheckRow]) -> frozenset[str]:
    """Those of the processors of a date, which may start, that wait for the other dates of their period."""
    if not pipeline.with_period:
        return frozenset()
    return frozenset(
        name
        for name in names
        if pipeline.processors[name].attempt_period and date_checks[name].runnable != Runnable.NOW
    )


def settle_pass(
    tx: Transaction, context: EngineContext, rows: Iterable[DateRow], ready: Sequence[Pair]
) -> None:
    """After a pass: settle the periods in which it may have changed something.

    `rows` are the dates of the pass, in the states from which it took them; `ready` are the outputs that may
    start with their period.
    """
    pipeline = context.pipeline
    if not pipeline.with_period:
        return
    checks.set_runnable(tx, ready, Runnable.WITH_PERIOD)
    here = [
        (row.date, processor.name)
        for row in rows
        if row.state in pipeline.stage
        for processor in pipeline.stage[row.state].processors
        if processor.attempt_period
    ]
    keys = (period_key(pipeline.processors[name], date) for date, name in (*here, *ready))
    settle(tx, context, dict.fromkeys(keys))


def settle(tx: Transaction, context: EngineContext, keys: Iterable[PeriodKey]) -> None:
    """Let the ready dates of each period start together, or wait together; those that change become due."""
    zone = ZoneInfo(context.pipeline.timezone)
    for key in keys:
        of_period = checks_in_period.between(tx, *key)
        status = _status(tx, context, key, of_period)
        runnable = Runnable.NOW if status.may_start else Runnable.WITH_PERIOD
        changed = [
            (check.date, check.processor)
            for check in of_period
            if check.runnable not in (Runnable.NO, runnable)
        ]
        checks.set_runnable(tx, changed, runnable)
        dates.make_dates_due(tx, [date for date, _ in changed], dates.IMMEDIATELY)
        if status.ends_on is not None:
            dates.make_dates_due_by(tx, status.ready, date_end(status.ends_on, zone))


def first_runnable(tx: Transaction, pipeline: Pipeline, limits: Mapping[str, int]) -> list[RunnableCheck]:
    """The runnable checks that come first, at most `limits[processor]` of each, with all of their periods.

    A period comes where its most urgent date comes, oldest date first.
    """
    found = runnable_jobs.first(tx, limits)
    alone = [check for check in found if not pipeline.processors[check.processor].attempt_period]
    urgency: dict[PeriodKey, int] = {}
    for check in found:
        if (processor := pipeline.processors[check.processor]).attempt_period:
            urgency.setdefault(period_key(processor, check.date), check.priority)
    together = [
        check._replace(priority=priority)
        for key, priority in urgency.items()
        for check in checks_in_period.runnable(tx, *key)
    ]
    return sorted([*alone, *together], key=lambda check: (-check.priority, check.date)) if together else found


def with_their_periods(
    pipeline: Pipeline, runnable: Iterable[RunnableCheck], chosen: Iterable[RunnableCheck]
) -> list[RunnableCheck]:
    """The chosen of the runnable checks with all of their periods.

    Evidence of a period is queried at once: else one date's would be too old when another one's arrives.
    """
    processors = pipeline.processors
    keys = {period_key(processors[check.processor], check.date) for check in chosen}
    return [check for check in runnable if period_key(processors[check.processor], check.date) in keys]


def whole_periods(
    tx: Transaction, context: EngineContext, candidates: Sequence[RunnableCheck]
) -> list[RunnableCheck]:
    """The candidates without those whose period lacks a date: evidence, or an upstream output, changed."""
    processors = context.pipeline.processors
    of_period: dict[PeriodKey, set[dt.date]] = {}
    for check in candidates:
        if processors[check.processor].attempt_period:
            of_period.setdefault(period_key(processors[check.processor], check.date), set()).add(check.date)
    incomplete = set()
    for key, found in of_period.items():
        status = read_status(tx, context, key)
        if not status.may_start or not found.issuperset(status.ready):
            incomplete.add(key)
    settle(tx, context, incomplete)
    return [
        check
        for check in candidates
        if not (processor := processors[check.processor]).attempt_period
        or period_key(processor, check.date) not in incomplete
    ]


def wake(tx: Transaction, context: EngineContext, decided: Iterable[Pair]) -> None:
    """Make the dates due that wait for the rest of a period, in which these outputs are now decided."""
    processors = context.pipeline.processors
    keys = dict.fromkeys(
        period_key(processors[name], date)
        for date, name in decided
        if name in processors and processors[name].attempt_period
    )
    for name, first, last in keys:
        dates.make_dates_due(tx, checks_in_period.awaiting(tx, name, first, last), dates.IMMEDIATELY)


def wake_all(tx: Transaction, context: EngineContext) -> None:
    """Make all dates due that wait for the rest of a period: the calendar may expect other dates now."""
    for processor in context.pipeline.with_period:
        found = checks_in_period.awaiting(tx, processor.name, dt.date.min, dt.date.max)
        dates.make_dates_due(tx, found, dates.IMMEDIATELY)


def create_checks(tx: Transaction, context: EngineContext, admitted: Iterable[dt.date]) -> None:
    """Create checks for the other dates of the periods of admitted dates, where they were never enqueued."""
    now, pipeline = context.now(), context.pipeline
    admitted_dates = list(admitted)
    for processor in pipeline.with_period:
        for key in dict.fromkeys(period_key(processor, date) for date in admitted_dates):
            name, first, last = key
            names = with_references(pipeline, [name])
            unchecked = done_and_lookback_date_checks.without_checks(tx, names, first, last)
            expected, _ = expected_dates(pipeline, key, _days(tx, pipeline, key), now)
            done_and_lookback_date_checks.create(
                tx, [date for date in expected if date in unchecked], names, now
            )


def create_checks_beside(tx: Transaction, context: EngineContext, new: Collection[dt.date]) -> None:
    """Create checks of dates that the calendar did not know, for the admitted dates of the same periods.

    A processor may have its period since a change of the pipeline file, after these dates were admitted.
    """
    if not new or not context.pipeline.with_period:
        return
    first, last = (calendar_bounds(context.pipeline, date) for date in (min(new), max(new)))
    live = (row.date for row in dates.live(tx) if first[0] <= row.date <= last[1] and row.state != PENDING)
    create_checks(tx, context, live)


def orphaned(tx: Transaction, context: EngineContext) -> list[Pair]:
    """What a period waits for and no live date fills, with what that is compared with: not satisfied."""
    found: list[Pair] = []
    for key in _waiting_periods(tx, context.pipeline):
        names = with_references(context.pipeline, [key[0]])
        waits_for = without_live_date(tx, read_status(tx, context, key).waits_for)
        for date, known in checks.for_dates(tx, waits_for).items():
            found += [(date, name) for name in names if name in known and not known[name].satisfied]
    return found


def _waiting_periods(tx: Transaction, pipeline: Pipeline) -> Iterator[PeriodKey]:
    for processor in pipeline.with_period:
        after = dt.date.min
        while date := checks_in_period.first_awaiting(tx, processor.name, after):
            key = period_key(processor, date)
            yield key
            after = key[2]


def without_live_date(tx: Transaction, wanted: Collection[dt.date]) -> list[dt.date]:
    """Those of the dates that no backfill fills: they have ended, or were never enqueued."""
    rows = dates.get_many(tx, wanted)
    return [date for date in wanted if date not in rows or rows[date].state in FINAL]
