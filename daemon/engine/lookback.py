"""Holes: earlier dates that bar the way into a sequential phase.

A date enters such a phase only when every expected date of its lookback is satisfied in the phase before.
"""

from __future__ import annotations

import bisect
import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from backfilld.daemon.engine.context import EngineContext
from backfilld.state.pipeline.phase import Phase, Stage
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.records import DateRow
from backfilld.state.rules.calendar import Day
from backfilld.state.rules.gates import WaitReason
from backfilld.state.rules.machine import FINAL, Machine
from backfilld.state.store import calendar_days, checks, dates
from backfilld.state.store.database import Transaction


def phase_before(pipeline: Pipeline, phase: Phase) -> Phase | None:
    """The phase whose gate the lookback of a sequential phase looks at."""
    index = pipeline.phase.index(phase)
    return pipeline.phase[index - 1] if phase.sequential and index > 0 else None


@dataclass(frozen=True, slots=True)
class Window:
    """The dates from `start` to before `end` that have to be satisfied in `phase` before `entered`."""

    phase: Phase
    entered: Phase
    start: dt.date
    end: dt.date


def window(pipeline: Pipeline, machine: Machine, stage: Stage, day: Day) -> Window | None:
    """What has to be satisfied before a date leaves `stage`; None when its way leads into no lookback."""
    index = machine.after(stage, day)
    after = pipeline.stages[index] if index < len(pipeline.stages) else None
    before = phase_before(pipeline, after.phase) if after and after.enters_phase else None
    if after is None or before is None:
        return None
    start = pipeline.seasons.lookback_start(day.date, pipeline.lookback(after.phase))
    return Window(before, after.phase, start, day.date) if start < day.date else None


def windows(tx: Transaction, context: EngineContext, rows: Iterable[DateRow]) -> dict[dt.date, Window]:
    """What has to be satisfied before each of some live dates leaves its state, where there is anything."""
    stages = {
        row.date: context.pipeline.stage[row.state] for row in rows if row.state in context.pipeline.stage
    }
    counts = calendar_days.for_dates(tx, stages)
    charted = (context.pipeline.seasons.day(date, known) for date, known in counts.items())
    found = {day.date: window(context.pipeline, context.machine, stages[day.date], day) for day in charted}
    return {date: one for date, one in found.items() if one is not None}


def missing_upstream(tx: Transaction, within: Window) -> tuple[dt.date, str] | None:
    """The earliest date, and the processor, that lacks; usually None."""
    return checks.earliest_unsatisfied(tx, [p.name for p in within.phase.processor], within.start, within.end)


def orphaned_missing(tx: Transaction, context: EngineContext) -> list[checks.Pair]:
    """What lacks on the earliest dates that others wait for and that no live date will fill.

    Behind such a date, or a live one, those that look back at it wait in any case.
    """
    pairs: list[checks.Pair] = []
    for stage in context.pipeline.stages:
        after = dt.date.min
        while row := dates.first_waiting(tx, WaitReason.EARLIER_DATE, stage.name, after):
            within = windows(tx, context, [row]).get(row.date)
            found = missing_upstream(tx, within) if within else None
            if within is None or found is None:
                break  # it has just been filled, and the dates behind it are about to be looked at
            date = found[0]
            holder = dates.get(tx, date)
            if holder is None or holder.state in FINAL:
                known = checks.for_dates(tx, [date])[date]
                names = [p.name for p in within.phase.processor]
                pairs += [(date, name) for name in names if name in known and not known[name].satisfied]
            after = max(row.date, last_dependent(context.pipeline, within.entered, date))
    return pairs


def last_dependent(pipeline: Pipeline, phase: Phase, date: dt.date) -> dt.date:
    """The last date that looks back at `date`, entering a sequential phase."""
    return pipeline.seasons.lookback_end(date, pipeline.lookback(phase))


def sentence(found: tuple[dt.date, str], phase: Phase, verdict: str) -> str:
    """How a hole is told to people."""
    date, processor = found
    return f"{date} is not satisfied in {phase.name}: {processor} is {verdict}"


def wake_unblocked(tx: Transaction, context: EngineContext, satisfied: Iterable[checks.Pair]) -> None:
    """Have the dates looked at again that newly satisfied checks may have set free.

    Beyond the next hole nobody is free, so only dates up to there are woken.
    """
    pairs = list(satisfied)
    for phase in context.pipeline.phase:
        before = phase_before(context.pipeline, phase)
        if before is None or context.pipeline.lookback(phase) == 0:
            continue
        names = [p.name for p in before.processor]
        filled = sorted({date for date, processor in pairs if processor in names})
        _wake_up_to_next_holes(tx, context, names, filled)


def _wake_up_to_next_holes(
    tx: Transaction, context: EngineContext, names: list[str], filled: list[dt.date]
) -> None:
    reached = dt.date.min
    for date in filled:
        if date < reached:
            continue
        found = checks.earliest_unsatisfied(tx, names, date)
        reached = found[0] if found else dt.date.max
        dates.make_waiting_due(tx, WaitReason.EARLIER_DATE, context.now(), after=date, until=reached)


def create_lookback_checks(tx: Transaction, context: EngineContext, admitted: Sequence[Day]) -> None:
    """Have the warehouse asked about the lookback of admitted dates, where nobody enqueued it."""
    for phase in context.pipeline.phase:
        before = phase_before(context.pipeline, phase)
        lookback = context.pipeline.lookback(phase)
        if before is None or lookback == 0 or not admitted:
            continue
        ends = sorted(day.date for day in admitted)
        starts = [context.pipeline.seasons.lookback_start(end, lookback) for end in ends]
        names = [p.name for p in before.processor]
        there = checks.dates_with(tx, names, starts[0], ends[-1])
        known = calendar_days.between(tx, starts[0], ends[-1])
        expected = (context.pipeline.seasons.day(date, counts) for date, counts in sorted(known.items()))
        wanted = (day.date for day in expected if day.expected and day.date not in there)
        missing = [date for date in wanted if _in_a_lookback(date, starts, ends)]
        checks.create_lookback_checks(tx, missing, names, context.now())


def _in_a_lookback(date: dt.date, starts: Sequence[dt.date], ends: Sequence[dt.date]) -> bool:
    """Whether one of the sorted lookbacks, which end the day before `ends`, has the date."""
    index = bisect.bisect_right(ends, date)
    return index < len(ends) and starts[index] <= date


def without_calendar(tx: Transaction, context: EngineContext, wanted: Sequence[dt.date]) -> set[dt.date]:
    """Those of the dates of whose lookback the calendar was not asked about in full."""
    if not wanted:
        return set()
    starts = {date: calendar_span(context.pipeline, date, date)[0] for date in wanted}
    first, last = min(starts.values()), max(wanted)
    known = calendar_days.between(tx, first, last)
    span = map(dt.date.fromordinal, range(first.toordinal(), last.toordinal()))
    missing = [date for date in span if date not in known]
    return {date for date, start in starts.items() if _any_between(missing, start, date)}


def _any_between(some: Sequence[dt.date], start: dt.date, end: dt.date) -> bool:
    """Whether one of the sorted dates lies from `start` to before `end`."""
    index = bisect.bisect_left(some, start)
    return index < len(some) and some[index] < end


def calendar_span(pipeline: Pipeline, start: dt.date, end: dt.date) -> tuple[dt.date, dt.date]:
    """The dates whose calendar must be known to handle those from `start` to `end`."""
    lookbacks = [pipeline.lookback(phase) for phase in pipeline.phase if phase.sequential]
    earliest = [pipeline.seasons.lookback_start(start, lookback) for lookback in lookbacks]
    return min([start, *earliest]), end
