"""The plan: what would run for a range of dates, in order, how long it takes and what it costs.

It starts from a validation and simulates every date by the engine's rules. Every step's dependencies are
satisfied already, or by an earlier step.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from backfilld.daemon.job_command_inspection import program
from backfilld.daemon.reports.data_completeness import Validation
from backfilld.daemon.reports.plan.estimates import Price, cost, wall_clock
from backfilld.daemon.reports.plan.models import (
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
from backfilld.daemon.reports.plan.schedule import openings
from backfilld.daemon.reports.plan.selection_and_force_options import DEFAULT_OPTIONS, RequestOptions
from backfilld.daemon.reports.plan.simulate_gates import Blocker, SimulationResult, simulate
from backfilld.daemon.reports.plan.stale_outputs import becomes_stale
from backfilld.daemon.reports.plan.steps import Typical, ordered
from backfilld.daemon.reports.plan.whole_range_or_test_window import Window, starting_points
from backfilld.state.formatting import pluralize
from backfilld.state.pipeline.phase import Phase
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.pipeline.settings_by_kind import LOCAL
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
    "plan",
]


NO_DURATIONS: Mapping[str, float | None] = MappingProxyType({})
"""The usual seconds per date without a state database."""


def plan(
    validation: Validation,
    pipeline: Pipeline,
    *,
    options: RequestOptions = DEFAULT_OPTIONS,
    typical_seconds: Typical = NO_DURATIONS.get,
    price: Price | None = None,
    stale: Sequence[Recompute] = (),
    refused_options: Mapping[str, str] = MappingProxyType({}),
    done: Collection[dt.date] = (),
) -> Plan:
    """What would run for the dates of a validation.

    `options` says what the request lets run; `typical_seconds` gives the seconds per date of a processor's
    past attempts, None without attempts; `price` the bytes that a warehouse query is billed; `stale` is
    passed through. `refused_options` says by processor which option of its command the script refuses; such
    a job is not planned. `done` are the dates of the range that are done: where a request would find them
    `already_done`, nothing is missing of them.
    """
    unusable = _unusable(pipeline, refused_options)
    result = simulate(pipeline, validation.snapshot, options, unusable, done)
    made = _plan(validation, pipeline, options, result, typical_seconds, price)
    return replace(made, stale=stale)


def compare(
    validation: Validation,
    pipeline: Pipeline,
    *,
    typical_seconds: Typical = NO_DURATIONS.get,
    price: Price | None = None,
    refused_options: Mapping[str, str] = MappingProxyType({}),
    window: Window | None = None,
    done: Collection[dt.date] = (),
) -> Comparison:
    """A plan for each choice of sources: all, the critical ones only, none; and where to start with all.

    `window` is the first and last date of a test window; by default the easiest one. `done` is as for `plan`.

    Raises:
        ValueError: the window does not lie in the range.
    """
    unusable = _unusable(pipeline, refused_options)
    snapshot = validation.snapshot
    choices = [RequestOptions(sources=sources) for sources in (Sources.ALL, Sources.CRITICAL, Sources.NONE)]
    results = [simulate(pipeline, snapshot, options, unusable, done) for options in choices]
    return Comparison(
        start=validation.start,
        end=validation.end,
        dates=validation.dates,
        options=[
            _plan(validation, pipeline, options, result, typical_seconds, price)
            for options, result in zip(choices, results, strict=True)
        ],
        starting_points=starting_points(
            pipeline, snapshot, results[0], typical=typical_seconds, price=price, window=window
        ),
    )


def _plan(
    validation: Validation,
    pipeline: Pipeline,
    options: RequestOptions,
    result: SimulationResult,
    typical: Typical,
    price: Price | None,
) -> Plan:
    snapshot = validation.snapshot
    steps = ordered(pipeline, snapshot, result.tasks, typical)
    stale_dates, stale_until = becomes_stale(pipeline, snapshot, result.tasks, options.selected)
    phases = [_phase(pipeline, phase, steps) for phase in pipeline.phase]
    waits, finish_at = openings(pipeline, phases, snapshot.asked_at)
    return Plan(
        start=validation.start,
        end=validation.end,
        dates=validation.dates,
        sources=options.sources,
        select=options.selection,
        phases=phases,
        cannot_run=list(_cannot_run(result.blockers)),
        waivers=list(_waivers(result.waivers)),
        stale=(),
        becomes_stale=stale_dates,
        stale_until=stale_until,
        check_commands=_check_commands(pipeline, validation, steps),
        coverage=[_coverage(phase, result) for phase in pipeline.phase],
        expected_dates=validation.expected_dates,
        done_dates=validation.expected_dates - len(result.blockers),
        seconds=sum(phase.seconds for phase in phases),
        unknown_steps=sum(phase.unknown_steps for phase in phases),
        openings=waits,
        finish_at=finish_at,
        cost=cost(pipeline, snapshot.wanted, steps, price),
        summary=_summary(validation, phases, len(result.blockers)),
    )


def _unusable(pipeline: Pipeline, refused_options: Mapping[str, str]) -> dict[str, str]:
    """The processors whose job cannot work on this machine, with the reason.

    The programs of other executors are on other machines and are not checked.
    """
    processors = pipeline.processors.items()
    local = {name: p for name, p in processors if pipeline.executor_of(p).kind == LOCAL}
    problems = {name: program(pipeline, p).problem or refused_options.get(name) for name, p in local.items()}
    return {name: f"{name}: {problem}" for name, problem in problems.items() if problem}


def _check_commands(pipeline: Pipeline, validation: Validation, steps: Iterable[Step]) -> dict[str, int]:
    """On how many dates each check command runs: those of its steps, and those without a result."""
    dates = {name: set(validation.checks_not_run.get(name, ())) for name in pipeline.check_commands}
    for step in steps:
        if step.processor in dates:
            dates[step.processor].update(step.dates)
    return {name: len(of_name) for name, of_name in dates.items() if of_name}


def _phase(pipeline: Pipeline, phase: Phase, steps: Iterable[Step]) -> PhasePlan:
    steps_of_phase = [step for step in steps if step.phase == phase.name]
    return PhasePlan(
        phase=phase.name,
        order=phase.order,
        steps=steps_of_phase,
        seconds=wall_clock(pipeline, phase, steps_of_phase),
        unknown_steps=sum(1 for step in steps_of_phase if step.seconds is None),
    )


def _cannot_run(blockers: Iterable[Blocker]) -> Iterator[CannotRun]:
    """The blockers, grouped by phase and reason."""
    groups: dict[tuple[str, str], list[Blocker]] = defaultdict(list)
    for blocker in blockers:
        groups[blocker.phase, blocker.reason].append(blocker)
    for (phase, reason), group in groups.items():
        processors = dict.fromkeys(name for blocker in group for name in blocker.processors)
        dates = [blocker.date for blocker in group]
        yield CannotRun(phase=phase, dates=dates, processors=list(processors), reason=reason)


def _waivers(simulated: Iterable[tuple[dt.date, str, Waiver]]) -> Iterator[PlannedWaiver]:
    groups: dict[tuple[str, Waiver], list[dt.date]] = defaultdict(list)
    for date, name, waiver in simulated:
        groups[name, waiver].append(date)
    for (name, waiver), dates in groups.items():
        yield PlannedWaiver(processor=name, dates=dates, by=waiver.by.value, reason=waiver.reason)


def _coverage(phase: Phase, result: SimulationResult) -> Coverage:
    names = [processor.name for processor in phase.processor]
    verdicts = [checks[name].verdict for checks in result.checks.values() for name in names]
    expected = [verdict for verdict in verdicts if verdict is not Verdict.NOT_EXPECTED]
    complete = sum(1 for verdict in expected if verdict is Verdict.COMPLETE)
    percent = round(100 * complete / len(expected), 1) if expected else None
    return Coverage(phase=phase.name, complete=complete, expected=len(expected), percent=percent)


def _summary(validation: Validation, phases: Sequence[PhasePlan], blocked: int) -> str:
    counts = [f"{phase.phase} {len(phase.steps)}" for phase in phases if phase.steps]
    steps = sum(len(phase.steps) for phase in phases)
    to_run = f"{pluralize(steps, 'step')} to run" + (f" ({', '.join(counts)})" if counts else "")
    done = validation.expected_dates - blocked
    return f"{to_run}; {done} of {validation.expected_dates} expected dates finish"
