"""Lookback: a date enters a sequential phase only after earlier dates are satisfied in the phase before.

Which earlier dates is computed from the pipeline file and the calendar each time. A date without a row is
missing, not satisfied.
"""

from __future__ import annotations

import bisect
import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from backfilld.daemon.engine.context import EngineContext
from backfilld.daemon.engine.ratio_references import with_references
from backfilld.state.pipeline.phase import Phase, Stage
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.records import DateRow
from backfilld.state.rules.calendar import Day
from backfilld.state.rules.gates import WaitReason
from backfilld.state.rules.machine import FINAL, Machine
from backfilld.state.store import calendar_days, checks, dates, lookback_checks
from backfilld.state.store.database import Transaction


def phase_before(pipeline: Pipeline, phase: Phase) -> Phase | None:
    """The phase that the lookback of a sequential phase refers to; None without a lookback."""
    index = pipeline.phase.index(phase)
    return pipeline.phase[index - 1] if phase.sequential and index > 0 else None


@dataclass(frozen=True, slots=True)
class Window:
    """The dates from `start` to before `end` must be satisfied in `phase` before a date enters `entered`."""

    phase: Phase
    entered: Phase
    start: dt.date
    end: dt.date


def window(pipeline: Pipeline, machine: Machine, stage: Stage, day: Day) -> Window | None:
    """The lookback window that a date needs to leave `stage`; None if the next state has no lookback."""
    index = machine.after(stage, day)
    after = pipeline.stages[index] if index < len(pipeline.stages) else None
    before = phase_before(pipeline, after.phase) if after and after.enters_phase else None
    if after is None or before is None:
        return None
    start = pipeline.seasons.lookback_start(day.date, pipeline.lookback(after.phase))
    return Window(before, after.phase, start, day.date) if start < day.date else None


def windows(tx: Transaction, context: EngineContext, rows: Iterable[DateRow]) -> dict[dt.date, Window]:
    """The lookback windows of live dates that need one to leave their state."""
    stages = {
        row.date: context.pipeline.stage[row.state] for row in rows if row.state in context.pipeline.stage
    }
    counts = calendar_days.for_dates(tx, stages)
    days = (context.pipeline.seasons.day(date, count) for date, count in counts.items())
    found = {day.date: window(context.pipeline, context.machine, stages[day.date], day) for day in days}
    return {date: needed for date, needed in found.items() if needed is not None}


class UpstreamReader:
    """Reads the missing upstream of dates in one transaction.

    Expected dates without a check are read once for all dates up to `until`.
    """

    def __init__(self, tx: Transaction, context: EngineContext, until: dt.date = dt.date.min) -> None:
        self._tx = tx
        self._context = context
        self._until = until
        self._spans: dict[str, _Span] = {}

    def missing(self, within: Window) -> tuple[dt.date, str] | None:
        """The earliest unsatisfied (date, processor) within a window; None if all are satisfied.

        An expected date without a check counts as unsatisfied, but is named only after all others.
        """
        names = [p.name for p in within.phase.processor]
        unsatisfied = lookback_checks.earliest_unsatisfied(self._tx, names, within.start, within.end)
        if unsatisfied is not None:
            return unsatisfied
        date = _first_between(self._span(within).unchecked, within.start, within.end)
        if date is None:
            return None
        known = checks.for_dates(self._tx, [date])[date]
        return date, next(name for name in names if name not in known)

    def without_calendar(self, within: Window) -> bool:
        """Whether the calendar was not read for a date of the window."""
        unknown = self._span(within).without_calendar
        return _first_between(unknown, within.start, within.end) is not None

    def _span(self, within: Window) -> _Span:
        span = self._spans.get(within.phase.name)
        if span is None or within.start < span.start or within.end > span.end:
            end = max(within.end, self._until)
            span = _read_span(self._tx, self._context, within.phase, within.start, end)
            self._spans[within.phase.name] = span
        return span


@dataclass(frozen=True, slots=True)
class _Span:
    """From `start` to before `end`: the expected dates without a check, and those without a calendar."""

    start: dt.date
    end: dt.date
    unchecked: Sequence[dt.date]
    without_calendar: Sequence[dt.date]


def _read_span(tx: Transaction, context: EngineContext, phase: Phase, start: dt.date, end: dt.date) -> _Span:
    names = [p.name for p in phase.processor]
    counts = calendar_days.between(tx, start, end)
    checked = lookback_checks.dates_with(tx, names, start, end)
    span = [dt.date.fromordinal(number) for number in range(start.toordinal(), end.toordinal())]
    seasons = context.pipeline.seasons
    unchecked = [
        date
        for date in span
        if date in counts and date not in checked and seasons.day(date, counts[date]).expected
    ]
    return _Span(start, end, unchecked, [date for date in span if date not in counts])


def missing_upstream(tx: Transaction, context: EngineContext, within: Window) -> tuple[dt.date, str] | None:
    """The earliest unsatisfied (date, processor) within one window; None if all are satisfied."""
    return UpstreamReader(tx, context).missing(within)


def spans(pipeline: Pipeline, days: Sequence[Day]) -> Iterator[tuple[dt.date, dt.date]]:
    """The dates of `days`, oldest first, with their lookback: disjoint spans, both ends included."""
    first: dt.date | None = None
    last = dt.date.min
    for day in days:
        start, _ = calendar_span(pipeline, day.date, day.date)
        if first is not None and start > last + dt.timedelta(days=1):
            yield first, last
            first = None
        first, last = (start if first is None else min(first, start)), day.date
    if first is not None:
        yield first, last


def orphaned_missing(tx: Transaction, context: EngineContext) -> list[checks.Pair]:
    """Unsatisfied checks of the earliest missing upstream dates that are not live, so nothing will fill them.

    Dates behind such a date wait for it in any case, so only the earliest one of each window is returned.
    """
    pairs: list[checks.Pair] = []
    for stage in context.pipeline.stages:
        after = dt.date.min
        while row := dates.first_waiting(tx, WaitReason.EARLIER_DATE, stage.name, after):
            within = windows(tx, context, [row]).get(row.date)
            missing = missing_upstream(tx, context, within) if within else None
            if within is None or missing is None:
                break  # it was just satisfied, and the dates behind it are due
            date = missing[0]
            holder = dates.get(tx, date)
            if holder is None or holder.state in FINAL:
                known = checks.for_dates(tx, [date])[date]
                names = with_references(context.pipeline, (p.name for p in within.phase.processor))
                pairs += [(date, name) for name in names if name in known and not known[name].satisfied]
            after = max(row.date, last_dependent(context.pipeline, within.entered, date))
    return pairs


def last_dependent(pipeline: Pipeline, phase: Phase, date: dt.date) -> dt.date:
    """The last date whose lookback into `phase` includes `date`."""
    return pipeline.seasons.lookback_end(date, pipeline.lookback(phase))


def sentence(missing: tuple[dt.date, str], phase: Phase, verdict: str) -> str:
    """A missing upstream date as a sentence."""
    date, processor = missing
    return f"{date} is not satisfied in {phase.name}: {processor} is {verdict}"


def wake_unblocked(tx: Transaction, context: EngineContext, satisfied: Iterable[checks.Pair]) -> None:
    """Make dates due that newly satisfied checks may have unblocked.

    Dates after the next missing upstream date stay blocked, so only dates up to there become due.
    """
    pairs = list(satisfied)
    for phase in context.pipeline.phase:
        before = phase_before(context.pipeline, phase)
        if before is None or context.pipeline.lookback(phase) == 0:
            continue
        names = [p.name for p in before.processor]
        satisfied_dates = sorted({date for date, processor in pairs if processor in names})
        _wake_up_to_next_missing(tx, context, names, satisfied_dates)


def _wake_up_to_next_missing(
    tx: Transaction, context: EngineContext, names: list[str], satisfied_dates: list[dt.date]
) -> None:
    reached = dt.date.min
    for date in satisfied_dates:
        if date < reached:
            continue
        missing = lookback_checks.earliest_unsatisfied(tx, names, date)
        reached = missing[0] if missing else dt.date.max
        dates.make_waiting_due(tx, WaitReason.EARLIER_DATE, context.now(), after=date, until=reached)


def create_lookback_checks(tx: Transaction, context: EngineContext, admitted: Sequence[Day]) -> None:
    """Create checks for the lookback of admitted dates, where it was never enqueued."""
    for phase in context.pipeline.phase:
        before = phase_before(context.pipeline, phase)
        lookback = context.pipeline.lookback(phase)
        if before is None or lookback == 0 or not admitted:
            continue
        ends = sorted(day.date for day in admitted)
        starts = [context.pipeline.seasons.lookback_start(end, lookback) for end in ends]
        names = with_references(context.pipeline, (p.name for p in before.processor))
        known_dates = lookback_checks.dates_with(tx, names, starts[0], ends[-1])
        known = calendar_days.between(tx, starts[0], ends[-1])
        expected = (context.pipeline.seasons.day(date, counts) for date, counts in sorted(known.items()))
        unchecked = (day.date for day in expected if day.expected and day.date not in known_dates)
        missing = [date for date in unchecked if _in_a_lookback(date, starts, ends)]
        lookback_checks.create_lookback_checks(tx, missing, names, context.now())


def _in_a_lookback(date: dt.date, starts: Sequence[dt.date], ends: Sequence[dt.date]) -> bool:
    """Whether the date is in one of the sorted lookbacks, which end the day before `ends`."""
    index = bisect.bisect_right(ends, date)
    return index < len(ends) and starts[index] <= date


def without_calendar(tx: Transaction, context: EngineContext, admitting: Sequence[dt.date]) -> set[dt.date]:
    """The dates whose lookback includes days for which the calendar was not read."""
    if not admitting:
        return set()
    starts = {date: calendar_span(context.pipeline, date, date)[0] for date in admitting}
    first, last = min(starts.values()), max(admitting)
    known = calendar_days.between(tx, first, last)
    span = map(dt.date.fromordinal, range(first.toordinal(), last.toordinal()))
    missing = [date for date in span if date not in known]
    return {date for date, start in starts.items() if _first_between(missing, start, date)}


def _first_between(sorted_dates: Sequence[dt.date], start: dt.date, end: dt.date) -> dt.date | None:
    """The first of the sorted dates from `start` to before `end`."""
    index = bisect.bisect_left(sorted_dates, start)
    return sorted_dates[index] if index < len(sorted_dates) and sorted_dates[index] < end else None


def calendar_span(pipeline: Pipeline, start: dt.date, end: dt.date) -> tuple[dt.date, dt.date]:
    """The dates whose calendar must be known to handle those from `start` to `end`."""
    lookbacks = [pipeline.lookback(phase) for phase in pipeline.phase if phase.sequential]
    volumes = [p.expect.volume.days_back for p in pipeline.processors.values() if p.expect.volume]
    earliest = [pipeline.seasons.lookback_start(start, lookback) for lookback in [*lookbacks, *volumes]]
    return min([start, *earliest]), end
