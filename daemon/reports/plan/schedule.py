"""Which steps of a plan wait for a window to open, and when the plan can have ended."""

from __future__ import annotations

import heapq
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from backfilld.daemon.reports.plan.models import Opening, PhasePlan, Step
from backfilld.state.pipeline.phase import Phase
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.rules.closed_hours import delay

Waits = dict[tuple[str, float], list[Step]]
"""The steps that wait, by window and the time of its opening; infinity where it never opens for that long."""


@dataclass(slots=True)
class Schedule:
    """Steps in time: each starts as soon as what it shares with others is free, and its windows are open.

    Times are in seconds: epoch seconds `with_windows`, else from any `begin`.
    """

    pipeline: Pipeline
    begin: float
    with_windows: bool = False
    waits: Waits = field(default_factory=lambda: defaultdict(list))

    def end_of(self, phase: Phase, steps: Sequence[Step]) -> float:
        """When the last step of a phase ends; a step of unknown time takes none."""
        ends: dict[int, float] = defaultdict(lambda: self.begin)
        free: dict[str, list[float]] = {}
        for step in steps:
            shared = [
                free.setdefault(name, [self.begin] * size)
                for name, size in self._sizes(phase, step.processor)
            ]
            start = max(*map(heapq.heappop, shared), *(ends[number] for number in step.needs))
            end = self._opening(step, start) + (step.seconds or 0.0)
            ends[step.number] = end
            for slots in shared:
                heapq.heappush(slots, end)
        return max(ends.values(), default=self.begin)

    def _sizes(self, phase: Phase, name: str) -> Iterator[tuple[str, int]]:
        """What a step takes one of, with their number: slots, writers, a sequential phase, a pool."""
        processor = self.pipeline.processors[name]
        yield "", self.pipeline.jobs.slots
        yield f"table {processor.table}", processor.writers
        if phase.sequential:
            yield f"phase {phase.name}", 1
        if processor.pool is not None:
            yield f"pool {processor.pool}", self.pipeline.pool_sizes[processor.pool]

    def _opening(self, step: Step, at: float) -> float:
        """When a step may start that could start at `at`."""
        windows = self.pipeline.windows_of.get(step.processor, ()) if self.with_windows else ()
        wait = delay(windows, at, step.seconds or 0.0) if windows and math.isfinite(at) else None
        if wait is None:
            return at
        opens = math.inf if wait.until is None else wait.until
        self.waits[wait.closure.window, opens].append(step)
        return opens


def openings(
    pipeline: Pipeline, phases: Sequence[PhasePlan], now: float
) -> tuple[list[Opening], float | None]:
    """The openings that steps wait for, the earliest first, and when the last step ends at the earliest.

    The second is None where a step takes longer than its windows are ever open. Phases follow each other.
    """
    schedule = Schedule(pipeline, now, with_windows=True)
    for phase, planned in zip(pipeline.phase, phases, strict=True):
        schedule.begin = schedule.end_of(phase, planned.steps)
    found = [
        Opening(
            window=window,
            opens_at=at if math.isfinite(at) else None,
            processors=list(dict.fromkeys(step.processor for step in steps)),
            steps=[step.number for step in steps],
        )
        for (window, at), steps in sorted(schedule.waits.items(), key=lambda item: item[0][1])
    ]
    return found, schedule.begin if math.isfinite(schedule.begin) else None
