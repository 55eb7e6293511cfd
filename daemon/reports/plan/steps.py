"""Turn tasks into steps: batched as the engine batches them, and in topological order.

A step comes after all steps that it needs: the state before of the same dates, the processors in `after`, and
earlier dates by the graph of needs. Those of earlier phases come before it, because these phases do.
"""

from __future__ import annotations

import datetime as dt
import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from backfilld.daemon.reports.current_verdicts import Snapshot
from backfilld.daemon.reports.plan.models import Step
from backfilld.daemon.reports.plan.shell_commands import command
from backfilld.daemon.reports.plan.simulate_gates import Task
from backfilld.state.pipeline.phase import Stage
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.pipeline.processor import Processor
from backfilld.state.rules.batching import batches, period_attempts

Typical = Callable[[str], float | None]
"""Seconds per date of a processor's past attempts, by its name; None without attempts."""


@dataclass(eq=False, slots=True)
class _Group:
    """The tasks of one step."""

    processor: Processor
    stage: Stage
    tasks: list[Task]
    needs: list[_Group] = field(default_factory=list)

    @property
    def dates(self) -> list[dt.date]:
        return [task.date for task in self.tasks]


def ordered(pipeline: Pipeline, snapshot: Snapshot, tasks: Iterable[Task], typical: Typical) -> list[Step]:
    """The steps of all tasks, numbered from 1: phase after phase, oldest date first."""
    groups = _groups(pipeline, snapshot, tasks)
    _link_needs(groups)
    order = _topological_order(pipeline, groups)
    numbers = {id(group): number for number, group in enumerate(order, start=1)}
    return [
        _step(pipeline, snapshot, group, numbers[id(group)], [numbers[id(n)] for n in group.needs], typical)
        for group in order
    ]


def _groups(pipeline: Pipeline, snapshot: Snapshot, tasks: Iterable[Task]) -> list[_Group]:
    """The tasks as the engine would batch them."""

    def nothing_between(processor: Processor, first: dt.date, last: dt.date) -> bool:
        between = map(dt.date.fromordinal, range(first.toordinal() + 1, last.toordinal()))
        return not any(pipeline.expects(processor, snapshot.days[date]) for date in between)

    by_date = sorted(tasks, key=lambda task: task.date)
    planned = {(task.processor, task.date) for task in by_date}
    attempts = period_attempts(pipeline, lambda name, date: (name, date) in planned)
    return [
        _Group(pipeline.processors[batch[0].processor], batch[0].stage, batch)
        for batch in batches(by_date, pipeline.processors, nothing_between=nothing_between, owner=attempts)
    ]


def _link_needs(groups: Sequence[_Group]) -> None:
    """Set `needs` of every group to the groups that it needs directly."""
    by_date: dict[dt.date, dict[str, _Group]] = defaultdict(dict)
    for group in groups:
        for date in group.dates:
            by_date[date][group.processor.name] = group
    for group in groups:
        needs = (need for date in group.dates for need in _needs(group, by_date[date]))
        group.needs = list(dict.fromkeys(needs))


def _needs(group: _Group, same_date: Mapping[str, _Group]) -> Iterator[_Group]:
    earlier = [other for other in same_date.values() if other.stage.index < group.stage.index]
    latest = max((other.stage.index for other in earlier), default=0)
    yield from (other for other in earlier if other.stage.index == latest)
    for name in group.processor.predecessors:
        # The fallbacks of a processor in `after` run before this one too.
        fallbacks = next((p.fallbacks for p in group.stage.processors if p.name == name), ())
        yield from (same_date[other] for other in (name, *fallbacks) if other in same_date)


def _topological_order(pipeline: Pipeline, groups: Sequence[_Group]) -> list[_Group]:
    """Phase after phase, oldest date first, and no group before one that it needs."""
    places = {name: place for place, name in enumerate(pipeline.processors)}
    phases = {phase.name: place for place, phase in enumerate(pipeline.phase)}

    def rank(group: _Group) -> tuple[int, dt.date, int, int]:
        return phases[group.stage.phase.name], group.dates[0], group.stage.index, places[group.processor.name]

    needed_by: dict[int, list[_Group]] = defaultdict(list)
    for group in groups:
        for need in group.needs:
            needed_by[id(need)].append(group)
    open_needs = {id(group): len(group.needs) for group in groups}
    ready = [(rank(group), id(group), group) for group in groups if not group.needs]
    heapq.heapify(ready)
    order: list[_Group] = []
    while ready:
        group = heapq.heappop(ready)[2]
        order.append(group)
        for other in needed_by[id(group)]:
            open_needs[id(other)] -= 1
            if not open_needs[id(other)]:
                heapq.heappush(ready, (rank(other), id(other), other))
    return order


def _step(
    pipeline: Pipeline, snapshot: Snapshot, group: _Group, number: int, needs: Sequence[int], typical: Typical
) -> Step:
    processor, dates = group.processor, group.dates
    call = command(pipeline, processor, dates)
    seconds, basis = _seconds(processor, len(dates), typical)
    return Step(
        number=number,
        phase=group.stage.phase.name,
        stage=group.stage.name,
        processor=processor.name,
        dates=dates,
        argv=call.argv,
        cwd=str(call.cwd),
        env=call.env,
        prepare=call.prepare,
        shell=call.shell,
        reason=_reason(group.tasks),
        reasons={task.date: task.reason for task in group.tasks},
        needs=sorted(needs),
        waits_for=list(_waits_for(pipeline, snapshot, group)),
        seconds=seconds,
        basis=basis,
    )


BASES: Mapping[str, str] = {
    "past attempts": "The usual time of its attempts, by the state database.",
    "estimate": "The `estimate` of the pipeline file.",
    "unknown": "Neither is there: its time is left out of the sum.",
}
"""What the expected time of a step is taken from."""


def _seconds(processor: Processor, dates: int, typical: Typical) -> tuple[float | None, str]:
    past = typical(processor.name)
    if past is not None:
        return past * dates, "past attempts"
    if processor.estimate is not None:
        return processor.estimate * dates, "estimate"
    return None, "unknown"


def _reason(tasks: Sequence[Task]) -> str:
    """The reason of all dates, or each reason with its number of dates."""
    counts = Counter(task.reason for task in tasks)
    if len(counts) == 1:
        return tasks[0].reason
    return "; ".join(f"{reason} ({n} dates)" if n > 1 else reason for reason, n in counts.items())


def _waits_for(pipeline: Pipeline, snapshot: Snapshot, group: _Group) -> Iterator[str]:
    """What must be complete first: phases, earlier dates and processors."""
    stage, phase = group.stage, group.stage.phase
    place = pipeline.phase.index(phase)
    if stage.enters_phase and place:
        dates = "the same date" if len(group.dates) == 1 else "the same dates"
        yield f"{pipeline.phase[place - 1].name} of {dates}"
    elif not stage.enters_phase:
        yield f"{pipeline.stages[stage.index - 1].processors[0].name}, the step before"
    yield from (need.processor.name for need in group.needs if need.stage is stage)
    yield from _earlier_dates(pipeline, snapshot, group, group.dates[0])


def _earlier_dates(pipeline: Pipeline, snapshot: Snapshot, group: _Group, date: dt.date) -> Iterator[str]:
    """The earlier dates that a step needs, beyond those that the step before it has waited for."""
    graph, stage = pipeline.needs.starting(snapshot.start), group.stage
    before = () if stage.enters_phase else pipeline.stages[stage.index - 1].processors
    waited_for = graph.earlier(p.name for p in before)
    for need in graph.earlier_of(group.processor.name):
        if need in waited_for:
            continue
        since = graph.start(need, date)
        earlier = [d for d, day in snapshot.days.items() if since <= d < date and day.expected]
        phases = [phase.name for phase in pipeline.phase if tuple(p.name for p in phase.processor) == need.of]
        if earlier:
            names = phases[0] if phases else ", ".join(need.of)
            is_one = earlier[0] == earlier[-1]
            of = earlier[0] if is_one else f"every date from {earlier[0]} to {earlier[-1]}"
            yield f"{names} of {of}"
