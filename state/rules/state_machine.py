"""The one table of transitions, built from a pipeline. Pure.

`transitions` checks and holds the graph; a move itself is a compare-and-set in the store, so no object
carries a live state and no callback persists anything.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from transitions import Machine as Graph

from backfilld.state.base_errors import BackfilldError
from backfilld.state.pipeline.phase import DONE, FAILED, PENDING, Stage
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.rules.season_calendar import Day

# The library logs every move at INFO; the transition rows already record them.
logging.getLogger("transitions").setLevel(logging.WARNING)


class Trigger(StrEnum):
    """What makes a date move."""

    ADMIT = "admit"
    """The calendar expects data: the date enters the first state."""
    DISMISS = "dismiss"
    """The calendar expects nothing: the date is done."""
    ADVANCE = "advance"
    """The gate of a state is satisfied."""
    BYPASS = "bypass"
    """The gate is satisfied, and the phase that follows is skipped on bootstrap dates."""
    FAIL = "fail"
    """The date cannot continue by itself."""
    CANCEL = "cancel"
    """Its backfill was cancelled."""
    RETRY = "retry"
    """A request: a retry, a waiver for an output of a failed date, or a new backfill."""
    RECOVER = "recover"
    """The output that a date failed for has appeared, and its backfill is still active."""
    READMIT = "readmit"
    """The file, the calendar, an earlier output or a request changed under a live date: it starts again."""


FINAL = frozenset({DONE, FAILED})


class IllegalMove(BackfilldError):
    """The trigger has no edge from the state."""

    def __init__(self, state: str, trigger: Trigger) -> None:
        super().__init__(f"a date in {state} cannot {trigger}")


@dataclass(frozen=True, slots=True)
class Edge:
    """One row of the table."""

    trigger: Trigger
    source: str
    target: str


class Machine:
    """The graph of states of one pipeline."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.edges = tuple(_edges(pipeline))
        self.states = (PENDING, *(stage.name for stage in pipeline.stages), DONE, FAILED)
        self._pipeline = pipeline
        self._bypass = {stage.name: _beyond_skipped(pipeline, stage.index + 1) for stage in pipeline.stages}
        self._graph = Graph(
            model=None,
            states=list(self.states),
            transitions=[[edge.trigger.value, edge.source, edge.target] for edge in self.edges],
            initial=PENDING,
            auto_transitions=False,
        )

    def step(self, state: str, trigger: Trigger) -> str:
        """The state that `trigger` leads to.

        Raises:
            IllegalMove: there is no such edge.
        """
        edges = self._graph.get_transitions(trigger.value, state)
        if not edges:
            raise IllegalMove(state, trigger)
        return str(edges[0].dest)

    def after(self, stage: Stage, day: Day) -> int:
        """The index of the stage that follows on `day`; the number of stages for `done`.

        Adjacent phases that skip bootstrap days are skipped together, or not at all.
        """
        target = self._bypass[stage.name]
        skipped = self._pipeline.stages[stage.index + 1 : target]
        bypass = bool(skipped) and all(self._pipeline.bypassed(other, day) for other in skipped)
        return target if bypass else stage.index + 1

    def diagram(self) -> str:
        """The graph as a Mermaid diagram; docs/concepts.md shows this text."""
        lines = ["stateDiagram-v2", f"    [*] --> {PENDING}"]
        for source, target, triggers in _by_ends(self.edges):
            lines.append(f"    {_identifier(source)} --> {_identifier(target)}: {' / '.join(triggers)}")
        named = [state for state in self.states if _identifier(state) != state]
        lines[1:1] = [f'    state "{state}" as {_identifier(state)}' for state in named]
        return "\n".join(lines)


def _edges(pipeline: Pipeline) -> Iterator[Edge]:
    names = [stage.name for stage in pipeline.stages]
    yield Edge(Trigger.ADMIT, PENDING, names[0])
    yield Edge(Trigger.DISMISS, PENDING, DONE)
    for stage, following in zip(pipeline.stages, [*names[1:], DONE], strict=True):
        yield Edge(Trigger.ADVANCE, stage.name, following)
        bypass = _beyond_skipped(pipeline, stage.index + 1)
        if bypass > stage.index + 1:
            yield Edge(Trigger.BYPASS, stage.name, [*names, DONE][bypass])
        yield Edge(Trigger.READMIT, stage.name, PENDING)
    for source in (PENDING, *names):
        yield Edge(Trigger.CANCEL, source, FAILED)
    for name in names:
        yield Edge(Trigger.FAIL, name, FAILED)
    for final in (DONE, FAILED):
        yield Edge(Trigger.RETRY, final, PENDING)
    yield Edge(Trigger.RECOVER, FAILED, PENDING)


def _beyond_skipped(pipeline: Pipeline, index: int) -> int:
    """The first stage from `index` on whose phase is not skipped on bootstrap dates.

    A phase is skipped as a whole, so within it there is nothing to bypass.
    """
    stages = pipeline.stages
    while index < len(stages) and stages[index].enters_phase and stages[index].phase.skip_bootstrap:
        index += len([stage for stage in stages if stage.phase is stages[index].phase])
    return index


def _by_ends(edges: tuple[Edge, ...]) -> Iterator[tuple[str, str, list[str]]]:
    ends = dict.fromkeys((edge.source, edge.target) for edge in edges)
    for source, target in ends:
        yield source, target, [e.trigger.value for e in edges if (e.source, e.target) == (source, target)]


def _identifier(state: str) -> str:
    return state.replace("-", "_")
