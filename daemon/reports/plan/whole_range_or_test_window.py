"""Where to start: the whole range in order, a test window alone, or the window first and then the rest."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace

from backfilld.daemon.reports.current_verdicts import Snapshot, enters
from backfilld.daemon.reports.plan.estimates import Price, cost, wall_clock
from backfilld.daemon.reports.plan.models import (
    Cost,
    CutPeriod,
    StartingPoints,
    StartOption,
    Step,
    WindowNeed,
)
from backfilld.daemon.reports.plan.simulate_gates import SimulationResult, Task
from backfilld.daemon.reports.plan.steps import Typical, ordered
from backfilld.daemon.warehouses.adapter import Pair
from backfilld.state.formatting import pluralize
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.rules.dates_between import dates_between
from backfilld.state.rules.processor_periods import key_title, period_key

WINDOW_DAYS = 14
"""Days of a test window that the user has not stated."""
Window = tuple[dt.date, dt.date]
"""The first and the last date of a test window."""
_DAY = dt.timedelta(days=1)


class _Estimator:
    """Orders tasks into steps, and sums their time and cost."""

    def __init__(self, pipeline: Pipeline, snapshot: Snapshot, typical: Typical, price: Price | None) -> None:
        self._pipeline, self._snapshot = pipeline, snapshot
        self._typical, self._price = typical, price

    def option(self, start: str, tasks: Sequence[Task], done_dates: int, proves: str) -> StartOption:
        """The option that runs some tasks."""
        steps = ordered(self._pipeline, self._snapshot, tasks, self._typical)
        return StartOption(
            start=start,
            dates=len({task.date for task in tasks}),
            steps=len(steps),
            seconds=sum(self._seconds(steps)),
            unknown_steps=sum(1 for step in steps if step.seconds is None),
            cost=self._cost(tasks, steps),
            done_dates=done_dates,
            proves=proves,
        )

    def _seconds(self, steps: Sequence[Step]) -> Iterator[float]:
        for phase in self._pipeline.phase:
            yield wall_clock(self._pipeline, phase, [step for step in steps if step.phase == phase.name])

    def _cost(self, tasks: Sequence[Task], steps: Sequence[Step]) -> Cost:
        dates = {task.date for task in tasks}
        of_tasks = {name: [d for d in days if d in dates] for name, days in self._snapshot.wanted.items()}
        wanted = {name: days for name, days in of_tasks.items() if days}
        return cost(self._pipeline, wanted, steps, self._price)


def starting_points(
    pipeline: Pipeline,
    snapshot: Snapshot,
    result: SimulationResult,
    *,
    typical: Typical,
    price: Price | None,
    window: Window | None = None,
) -> StartingPoints | None:
    """The three ways to start the jobs of a simulation; None without jobs, or without a window.

    `window`: the first and last date of the test window; by default `easiest_window`.

    Raises:
        ValueError: the window does not lie in the range.
    """
    if window is not None and not snapshot.start <= window[0] <= window[1] <= snapshot.end:
        raise ValueError(f"{window[0]}..{window[1]} is not within {snapshot.start}..{snapshot.end}")
    chosen = window or easiest_window(pipeline, snapshot)
    if chosen is None or not result.tasks:
        return None
    required = _required(pipeline, snapshot, chosen)
    in_window = [task for task in result.tasks if (task.processor, task.date) in required]
    others = [task for task in result.tasks if (task.processor, task.date) not in required]
    return StartingPoints(
        window_start=chosen[0],
        window_end=chosen[1],
        needs=list(_needs(pipeline, snapshot, chosen)),
        cut_periods=list(_cut_periods(pipeline, snapshot, chosen)),
        before_range=sorted({date for _, date in required if date < snapshot.start}),
        options=_options(
            _Estimator(pipeline, snapshot, typical, price), snapshot, result, chosen, in_window, others
        ),
    )


def easiest_window(pipeline: Pipeline, snapshot: Snapshot) -> Window | None:
    """The window with the most complete sources, then the most dates of the last phase, then the earliest.

    None for a range that is no longer than a window.
    """
    days, first, last = list(snapshot.in_range()), pipeline.phase[0], pipeline.phase[-1]
    if len(days) <= WINDOW_DAYS:
        return None
    names = [processor.name for processor in first.processor]
    scores = [
        (
            sum(1 for name in names if day.expected and snapshot.checks[day.date][name].satisfied),
            int(enters(pipeline, last, day)),
        )
        for day in days
    ]
    sums = [
        tuple(map(sum, zip(*scores[begin : begin + WINDOW_DAYS], strict=True)))
        for begin in range(len(days) - WINDOW_DAYS + 1)
    ]
    begin = sums.index(max(sums))
    return days[begin].date, days[begin + WINDOW_DAYS - 1].date


def _required(pipeline: Pipeline, snapshot: Snapshot, window: Window) -> set[Pair]:
    """The outputs that are not satisfied, of the window and of what it needs, directly or through others."""
    graph = pipeline.needs.starting(snapshot.start)
    todo = [(name, date) for date in _expected(snapshot, *window) for name in pipeline.processors]
    found: set[Pair] = set()
    covered: dict[Pair, dt.date] = {}  # by processor and first date of a span: its last date
    while todo:
        name, date = pair = todo.pop()
        check = snapshot.checks.get(date, {}).get(name)
        if pair in found or check is None or check.satisfied:
            continue
        found.add(pair)
        _, first, last = period_key(pipeline.processors[name], date)
        todo += [(name, other) for other in _expected(snapshot, first, last) if other != date]
        for upstream, span in graph.needs(name, date):
            known = covered.get((upstream, span.first))
            first = span.first if known is None else known + _DAY
            if first <= span.last:
                todo += [(upstream, needed) for needed in _expected(snapshot, first, span.last)]
                covered[upstream, span.first] = span.last
    return found


def _expected(snapshot: Snapshot, first: dt.date, last: dt.date) -> list[dt.date]:
    return [
        date for date in dates_between(first, last) if date in snapshot.days and snapshot.days[date].expected
    ]


def _needs(pipeline: Pipeline, snapshot: Snapshot, window: Window) -> Iterator[WindowNeed]:
    """The earlier dates that the window needs itself, by processor, and those that are missing."""
    graph = pipeline.needs.starting(snapshot.start)
    needed: dict[str, set[dt.date]] = defaultdict(set)
    for date in _expected(snapshot, *window):
        for name in pipeline.processors:
            for upstream, span in graph.needs(name, date):
                needed[upstream].update(_expected(snapshot, span.first, min(span.last, window[0] - _DAY)))
    for name in pipeline.processors:
        checks = {date: snapshot.checks.get(date, {}).get(name) for date in sorted(needed.get(name, ()))}
        missing = [date for date, check in checks.items() if check is not None and not check.satisfied]
        if checks:
            yield WindowNeed(processor=name, dates=list(checks), missing=missing)


def _cut_periods(pipeline: Pipeline, snapshot: Snapshot, window: Window) -> Iterator[CutPeriod]:
    """The periods that the window does not hold as a whole, and that have an output to compute."""
    for processor in pipeline.with_period:
        missing = [
            date
            for date in _expected(snapshot, *window)
            if (check := snapshot.checks.get(date, {}).get(processor.name)) and not check.satisfied
        ]
        for key in dict.fromkeys(period_key(processor, date) for date in missing):
            days = [snapshot.days[date] for date in _expected(snapshot, *key[1:])]
            dates = [day.date for day in days if pipeline.expects(processor, day)]
            outside = [date for date in dates if not window[0] <= date <= window[1]]
            if outside:
                title = key_title(pipeline, key)
                yield CutPeriod(processor=processor.name, period=title, dates=outside)


def _options(
    estimator: _Estimator,
    snapshot: Snapshot,
    result: SimulationResult,
    window: Window,
    in_window: Sequence[Task],
    others: Sequence[Task],
) -> Sequence[StartOption]:
    expected, blocked = list(snapshot.expected()), {blocker.date for blocker in result.blockers}
    done = len(expected) - len(blocked)
    tested = [day.date for day in expected if window[0] <= day.date <= window[1]]
    ran = len({task.processor for task in in_window})
    whole = estimator.option(
        "from the start",
        result.tasks,
        done,
        "every date, oldest first; a mistake that shows only on later dates or in later phases shows late",
    )
    alone = estimator.option(
        "test window",
        in_window,
        len(set(tested) - blocked),
        f"{pluralize(ran, 'processor')} and their gates on {pluralize(len(tested), 'date')};"
        f" nothing about the other {len(expected) - len(tested)}",
    )
    rest = estimator.option("", others, done, "")
    both = replace(
        whole,
        start="window, then all",
        steps=alone.steps + rest.steps,
        seconds=alone.seconds + rest.seconds,
        unknown_steps=alone.unknown_steps + rest.unknown_steps,
        cost=_sum(alone.cost, rest.cost),
        proves="first what the window proves, then every date; no output is computed twice",
    )
    return [whole, alone, both]


def _sum(first: Cost, second: Cost) -> Cost:
    known = first.bytes is not None and second.bytes is not None
    priced = first.dollars is not None and second.dollars is not None
    return Cost(
        queries=first.queries + second.queries,
        bytes=(first.bytes or 0) + (second.bytes or 0) if known else None,
        dollars=round((first.dollars or 0) + (second.dollars or 0), 4) if priced else None,
        note=first.note or second.note,
    )
