"""Applies changes of the calendar and of the pipeline file to dates that were admitted before.

- A date that lost its counts is put back to `pending`, which dismisses it, unless it had attempts.
- A done date that was not expected and now is, is marked as regressed.
- Outputs that are missing and that the file no longer expects are queried, as later dates may need them.
- Outputs that the file newly expects of dates that are not live are queried, and those that regressed dates
  are missing.
- Done dates whose stored row counts mean something else by the changed rules get another verdict.
- Checks that rest on the old expectation are queried again, and the checks that live dates need are created
  again. Dates behind an earlier one are evaluated again.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Mapping

from backfilld.daemon.engine import missing_upstream, periods, regressed_dates, rejudge_done_dates
from backfilld.daemon.engine.context import EngineContext
from backfilld.daemon.engine.requeue_dates import readmit
from backfilld.daemon.event_types import Event
from backfilld.state.pipeline.phase import PENDING
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.records import CheckRow, DateRow
from backfilld.state.rules.gates import WaitReason
from backfilld.state.rules.needs_graph import Pair
from backfilld.state.rules.season_calendar import Counts, CountsByDate, Day
from backfilld.state.rules.state_machine import FINAL
from backfilld.state.store import calendar_days, checks, dates, done_and_lookback_date_checks, reset_checks
from backfilld.state.store.database import Transaction

CHUNK = 5000
"""How many dates one statement names at most."""


def save_counts(tx: Transaction, context: EngineContext, counts: CountsByDate) -> list[Event]:
    """Store what the calendar counts on some dates. Returns the events to emit after the commit."""
    now, known = context.now(), calendar_days.between(tx, min(counts), max(counts))
    calendar_days.save(tx, counts, now)
    dates.make_waiting_due(tx, WaitReason.CALENDAR, now)
    periods.create_checks_beside(tx, context, counts.keys() - known.keys())
    changed = [date for date in counts if date in known and known[date] != counts[date]]
    return apply_calendar_changes(tx, context, changed)


def apply_calendar_changes(
    tx: Transaction, context: EngineContext, changed: Collection[dt.date]
) -> list[Event]:
    """Apply new counts of some dates. Returns the events to emit after the commit."""
    if not changed:
        return []
    now = context.now()
    rows, stored = dates.get_many(tx, changed), checks.for_dates(tx, changed)
    checks.request_check(tx, [(date, n) for date, by_name in stored.items() for n in by_name], now)
    events = _readmit(tx, context, rows, stored)
    events += regressed_dates.update(tx, context, sorted(rows))
    dates.make_waiting_due(tx, WaitReason.EARLIER_DATE, now)
    periods.wake_all(tx, context)
    admitted = admitted_days(tx, context)
    missing_upstream.create_needed_checks(tx, context, admitted)
    periods.create_checks(tx, context, [day.date for day in admitted])
    return events


def apply_pipeline_changes(tx: Transaction, context: EngineContext) -> list[Event]:
    """Apply a changed pipeline file to live dates, and to done ones of which it expects more or less now."""
    rows = dates.live(tx)
    live = _admitted(tx, context, rows)
    dates.set_season(tx, [(day.date, day.season or "") for day in live])
    graph = missing_upstream.needs_graph(tx, context.pipeline)
    # Those of pending dates too: an output of an earlier request may not be expected any more.
    for start, end in missing_upstream.spans(context.pipeline, graph, sorted(row.date for row in rows)):
        done_and_lookback_date_checks.request_between(tx, start, end, context.now())
    missing_upstream.create_needed_checks(tx, context, live)
    periods.create_checks(tx, context, [day.date for day in live])
    dismissed = [day.date for day in live if not day.expected]
    events = _readmit(tx, context, dates.get_many(tx, dismissed), checks.for_dates(tx, dismissed))
    _query_newly_expected(tx, context)
    _query_no_longer_expected(tx, context)
    marked = dates.not_expected_or_regressed(tx)
    rejudge_done_dates.query_regressed(tx, context, marked)
    marked = sorted({*marked, *rejudge_done_dates.judge_done_dates(tx, context)})
    for first in range(0, len(marked), CHUNK):
        events += regressed_dates.update(tx, context, marked[first : first + CHUNK])
    return events


def _query_newly_expected(tx: Transaction, context: EngineContext) -> None:
    """Query the outputs that the file expects of done dates and that it did not expect when these ended.

    Of a processor that was added, or taken out and put back, of an earlier `since`, of other `days`, of a
    season that opens earlier. Dates that are missing one are then `regressed`. The same of dates that failed
    or were never enqueued: what was not expected of them satisfies later dates no more.
    """
    pipeline = context.pipeline
    pairs = [
        (date, name)
        for date, counts, known in done_and_lookback_date_checks.of_done_dates(tx, pipeline.processors)
        if len(known) < len(pipeline.processors) and (day := pipeline.seasons.day(date, counts)).expected
        for name, processor in pipeline.processors.items()
        if name not in known and pipeline.expects(processor, day)
    ]
    pairs += _expected_now(pipeline, done_and_lookback_date_checks.not_expected(tx))
    reset_checks.expect_anew(tx, pairs, context.now())
    returned = _expected_now(pipeline, done_and_lookback_date_checks.unsatisfied_of_done_dates(tx))
    checks.request_check(tx, returned, context.now(), evaluated=True)


def _query_no_longer_expected(tx: Transaction, context: EngineContext) -> None:
    """Query what the file no longer expects, of any date: what is requested later would wait for it."""
    pipeline = context.pipeline
    pairs = [
        (date, name)
        for date, counts, name in done_and_lookback_date_checks.unsatisfied(tx)
        if name in pipeline.processors
        and not pipeline.expects(pipeline.processors[name], pipeline.seasons.day(date, counts))
    ]
    checks.request_check(tx, pairs, context.now())


def _expected_now(pipeline: Pipeline, outputs: Iterable[tuple[dt.date, Counts | None, str]]) -> list[Pair]:
    """The outputs, each with the counts of its date, that the file expects."""
    return [
        (date, name)
        for date, counts, name in outputs
        if name in pipeline.processors
        and pipeline.expects(pipeline.processors[name], pipeline.seasons.day(date, counts))
    ]


def admitted_days(tx: Transaction, context: EngineContext) -> list[Day]:
    """The days of all live dates that were admitted, oldest first, by file and calendar as they are now."""
    return _admitted(tx, context, dates.live(tx))


def _admitted(tx: Transaction, context: EngineContext, live: Iterable[DateRow]) -> list[Day]:
    admitted = [row.date for row in live if row.state != PENDING]
    counts = calendar_days.for_dates(tx, admitted)
    return [context.pipeline.seasons.day(date, counts[date]) for date in sorted(admitted) if date in counts]


def _readmit(
    tx: Transaction,
    context: EngineContext,
    rows: Mapping[dt.date, DateRow],
    stored: Mapping[dt.date, Mapping[str, CheckRow]],
) -> list[Event]:
    """Put admitted dates back that are no longer expected and had no attempt."""
    counts = calendar_days.for_dates(tx, rows)
    events: list[Event] = []
    for row in rows.values():
        day = context.pipeline.seasons.day(row.date, counts[row.date]) if row.date in counts else None
        admitted = row.state != PENDING and row.state not in FINAL
        if day is None or day.expected or not admitted or _touched(stored[row.date].values()):
            continue
        events.append(readmit(tx, context, row, f"no longer expected: {day.reason}"))
    return events


def _touched(date_checks: Iterable[CheckRow]) -> bool:
    return any(check.attempt_count or check.attempt_id is not None for check in date_checks)
