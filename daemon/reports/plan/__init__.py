"""The plan: what would run for a range of dates, in order, how long it takes and what it costs.

It starts from a validation and walks every date through the engine's own rules. Nothing is suggested
whose dependencies are not satisfied already or by an earlier step.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from daemon.decide import Gap
from daemon.plain import counted
from daemon.reports.plan.estimates import Price, cost, wall_clock
from daemon.reports.plan.results import (
    AcceptedGap,
    CannotRun,
    Comparison,
    Cost,
    Coverage,
    PhasePlan,
    Plan,
    Recompute,
    Step,
)
from daemon.reports.plan.steps import Typical, ordered
from daemon.reports.plan.walk import Outlook, Stop, walk
from daemon.reports.validation import Validation
from daemon.scripts import program
from state.pipeline import Phase, Pipeline
from state.records import Scrapers
from state.verdict import Verdict

__all__ = [
    "AcceptedGap",
    "CannotRun",
    "Comparison",
    "Cost",
    "Coverage",
    "PhasePlan",
    "Plan",
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
    scrapers: Scrapers = Scrapers.ALL,
    typical_seconds: Typical = never_seen,
    price: Price | None = None,
    stale: Sequence[Recompute] = (),
) -> Plan:
    """What would run for the dates of a validation.

    `typical_seconds` gives the seconds a date of a processor's attempts so far, None while there are none;
    `price` the bytes that a question to the warehouse is billed; `stale` is told as it is.
    """
    unusable = {name: why for name, why in _unusable(pipeline) if why}
    made = _plan(validation, pipeline, scrapers, unusable, typical_seconds, price)
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
    choices = (Scrapers.ALL, Scrapers.CRITICAL, Scrapers.NONE)
    options = [
        _plan(validation, pipeline, scrapers, unusable, typical_seconds, price) for scrapers in choices
    ]
    return Comparison(start=validation.start, end=validation.end, dates=validation.dates, options=options)


def _plan(
    validation: Validation,
    pipeline: Pipeline,
    scrapers: Scrapers,
    unusable: Mapping[str, str],
    typical: Typical,
    price: Price | None,
) -> Plan:
    seen = validation.survey
    outlook = walk(pipeline, seen, scrapers, unusable)
    steps = ordered(pipeline, seen, outlook.tasks, typical)
    phases = [_phase(pipeline, phase, steps) for phase in pipeline.phase]
    stopped = list(_grouped(outlook.stops))
    return Plan(
        start=validation.start,
        end=validation.end,
        dates=validation.dates,
        scrapers=scrapers,
        phases=phases,
        cannot_run=stopped,
        gaps=list(_gaps(outlook.gaps)),
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
        if processor.executor == "local" and (problem := program(pipeline, processor).problem):
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


def _grouped(stops: Iterable[Stop]) -> Iterator[CannotRun]:
    """Dates that are stopped by the same reason, together."""
    groups: dict[tuple[str, str], list[Stop]] = defaultdict(list)
    for stop in stops:
        groups[stop.phase, stop.reason].append(stop)
    for (phase, reason), own in groups.items():
        lacking = dict.fromkeys(name for stop in own for name in stop.processors)
        dates = [stop.date for stop in own]
        yield CannotRun(phase=phase, dates=dates, processors=list(lacking), reason=reason)


def _gaps(found: Iterable[tuple[dt.date, str, Gap]]) -> Iterator[AcceptedGap]:
    groups: dict[tuple[str, Gap], list[dt.date]] = defaultdict(list)
    for date, name, gap in found:
        groups[name, gap].append(date)
    for (name, gap), dates in groups.items():
        yield AcceptedGap(processor=name, dates=dates, by=gap.by.value, reason=gap.reason)


def _coverage(phase: Phase, outlook: Outlook) -> Coverage:
    names = [processor.name for processor in phase.processor]
    verdicts = [checks[name].verdict for checks in outlook.checks.values() for name in names]
    expected = [verdict for verdict in verdicts if verdict is not Verdict.NOT_EXPECTED]
    complete = sum(1 for verdict in expected if verdict is Verdict.COMPLETE)
    percent = round(100 * complete / len(expected), 1) if expected else None
    return Coverage(phase=phase.name, complete=complete, expected=len(expected), percent=percent)


def _summary(validation: Validation, phases: Sequence[PhasePlan], stopped: int) -> str:
    counts = [f"{phase.phase} {len(phase.steps)}" for phase in phases if phase.steps]
    steps = sum(len(phase.steps) for phase in phases)
    told = f"{counted(steps, 'step')} to run" + (f" ({', '.join(counts)})" if counts else "")
    done = validation.expected_dates - stopped
    return f"{told}; {done} of {validation.expected_dates} expected dates come to their end"
