"""The plan: what would run for a range of dates, in order, how long it takes and what it costs.

It starts from a validation and walks every date through the engine's own rules. Nothing is suggested
whose dependencies are not satisfied already or by an earlier step.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from backfilld.daemon.command_inspection import program
from backfilld.daemon.reports.plan.estimates import Price, cost, wall_clock
from backfilld.daemon.reports.plan.results import (
    CannotRun,
    Comparison,
    Cost,
    Coverage,
    PhasePlan,
    Plan,
    PlannedWaiver,
    Recompute,
    Step,
)
from backfilld.daemon.reports.plan.simulate import Blocker, SimulationResult, simulate
from backfilld.daemon.reports.plan.steps import Typical, ordered
from backfilld.daemon.reports.validation import Validation
from backfilld.state.formatting import pluralize
from backfilld.state.pipeline.adapters import LOCAL
from backfilld.state.pipeline.phase import Phase
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.records import Sources
from backfilld.state.rules.gates import Waiver
from backfilld.state.rules.verdict import Verdict

__all__ = [
    "CannotRun",
    "Comparison",
    "Cost",
    "Coverage",
    "PhasePlan",
    "Plan",
    "PlannedWaiver",
    "Recompute",
    "Step",
    "compare",
    "never_seen",
    "plan",
]


def never_seen(_: str) -> float | None:
    """The seconds a date of a processor's attempts so far, where nobody has kept them."""
    return None


def plan(
    validation: Validation,
    pipeline: Pipeline,
    *,
    sources: Sources = Sources.ALL,
    typical_seconds: Typical = never_seen,
    price: Price | None = None,
    stale: Sequence[Recompute] = (),
) -> Plan:
    """What would run for the dates of a validation.

    `typical_seconds` gives the seconds a date of a processor's attempts so far, None while there are none;
    `price` the bytes that a question to the warehouse is billed; `stale` is told as it is.
    """
    unusable = {name: why for name, why in _unusable(pipeline) if why}
    made = _plan(validation, pipeline, sources, unusable, typical_seconds, price)
    return replace(made, stale=stale)


def compare(
    validation: Validation,
    pipeline: Pipeline,
    *,
    typical_seconds: Typical = never_seen,
    price: Price | None = None,
) -> Comparison:
    """All sources, the critical ones only, or none: what each runs, takes, costs and leads to."""
    unusable = {name: why for name, why in _unusable(pipeline) if why}
    choices = (Sources.ALL, Sources.CRITICAL, Sources.NONE)
    options = [_plan(validation, pipeline, sources, unusable, typical_seconds, price) for sources in choices]
    return Comparison(start=validation.start, end=validation.end, dates=validation.dates, options=options)


def _plan(
    validation: Validation,
    pipeline: Pipeline,
    sources: Sources,
    unusable: Mapping[str, str],
    typical: Typical,
    price: Price | None,
) -> Plan:
    seen = validation.snapshot
    outlook = simulate(pipeline, seen, sources, unusable)
    steps = ordered(pipeline, seen, outlook.tasks, typical)
    phases = [_phase(pipeline, phase, steps) for phase in pipeline.phase]
    stopped = list(_grouped(outlook.stops))
    return Plan(
        start=validation.start,
        end=validation.end,
        dates=validation.dates,
        sources=sources,
        phases=phases,
        cannot_run=stopped,
        waivers=list(_gaps(outlook.waivers)),
        stale=(),
        coverage=[_coverage(phase, outlook) for phase in pipeline.phase],
        expected_dates=validation.expected_dates,
        done_dates=validation.expected_dates - len(outlook.stops),
        seconds=sum(phase.seconds for phase in phases),
        unknown_steps=sum(phase.unknown_steps for phase in phases),
        cost=cost(pipeline, seen, steps, price),
        summary=_summary(validation, phases, len(outlook.stops)),
    )


def _unusable(pipeline: Pipeline) -> Iterator[tuple[str, str]]:
    """Processors whose job cannot start here; of other executors only they can tell."""
    for name, processor in pipeline.processors.items():
        if pipeline.executor_of(processor).kind == LOCAL and (
            problem := program(pipeline, processor).problem
        ):
            yield name, f"{name}: {problem}"


def _phase(pipeline: Pipeline, phase: Phase, steps: Iterable[Step]) -> PhasePlan:
    own = [step for step in steps if step.phase == phase.name]
    return PhasePlan(
        phase=phase.name,
        order=phase.order,
        steps=own,
        seconds=wall_clock(pipeline, phase, own),
        unknown_steps=sum(1 for step in own if step.seconds is None),
    )


def _grouped(stops: Iterable[Blocker]) -> Iterator[CannotRun]:
    """Dates that are stopped by the same reason, together."""
    groups: dict[tuple[str, str], list[Blocker]] = defaultdict(list)
    for stop in stops:
        groups[stop.phase, stop.reason].append(stop)
    for (phase, reason), own in groups.items():
        lacking = dict.fromkeys(name for stop in own for name in stop.processors)
        dates = [stop.date for stop in own]
        yield CannotRun(phase=phase, dates=dates, processors=list(lacking), reason=reason)


def _gaps(found: Iterable[tuple[dt.date, str, Waiver]]) -> Iterator[PlannedWaiver]:
    groups: dict[tuple[str, Waiver], list[dt.date]] = defaultdict(list)
    for date, name, waiver in found:
        groups[name, waiver].append(date)
    for (name, waiver), dates in groups.items():
        yield PlannedWaiver(processor=name, dates=dates, by=waiver.by.value, reason=waiver.reason)


def _coverage(phase: Phase, outlook: SimulationResult) -> Coverage:
    names = [processor.name for processor in phase.processor]
    verdicts = [checks[name].verdict for checks in outlook.checks.values() for name in names]
    expected = [verdict for verdict in verdicts if verdict is not Verdict.NOT_EXPECTED]
    complete = sum(1 for verdict in expected if verdict is Verdict.COMPLETE)
    percent = round(100 * complete / len(expected), 1) if expected else None
    return Coverage(phase=phase.name, complete=complete, expected=len(expected), percent=percent)


def _summary(validation: Validation, phases: Sequence[PhasePlan], stopped: int) -> str:
    counts = [f"{phase.phase} {len(phase.steps)}" for phase in phases if phase.steps]
    steps = sum(len(phase.steps) for phase in phases)
    told = f"{pluralize(steps, 'step')} to run" + (f" ({', '.join(counts)})" if counts else "")
    done = validation.expected_dates - stopped
    return f"{told}; {done} of {validation.expected_dates} expected dates come to their end"
