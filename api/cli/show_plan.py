"""A plan as shell commands with comments, and the comparison of several plans."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator, Sequence

from rich.text import Text

from backfilld.api.formatting import format_bytes, format_total_duration
from backfilld.daemon.reports.plan.models import Opening, StartingPoints
from backfilld.daemon.reports.plan.plan import Comparison, Cost, Coverage, PhasePlan, Plan, Step
from backfilld.state.formatting import format_date_ranges, format_duration, format_utc, pluralize


def lines(plan: Plan) -> Iterator[Text]:
    """The commands in order, each with its reason; then what cannot run, time, cost and coverage."""
    yield Text()
    yield _comment(f"plan for {plan.start}..{plan.end}, sources {plan.sources}: {plan.summary}", "bold")
    if plan.select is not None:
        yield from _selection(plan, plan.select)
    for phase in plan.phases:
        if phase.steps:
            yield from _phase(phase)
    yield Text()
    for stop in plan.cannot_run:
        yield _comment(
            f"stays undone in {stop.phase}: {format_date_ranges(stop.dates)}: {stop.reason}", "red"
        )
    for waiver in plan.waivers:
        yield _comment(
            f"waives {waiver.processor} on {format_date_ranges(waiver.dates)}: {waiver.reason}",
            "yellow",
        )
    for name, dates in plan.check_commands.items():
        yield _comment(
            f"then runs the check command of {name} on {pluralize(dates, 'date')}, time not counted"
        )
    if plan.select is None and (debt := _debt(plan)):
        yield _comment(f"becomes stale: {debt}", "yellow")
    for one in plan.stale:
        failed = ", which failed" if one.failed else ""
        yield _comment(f"stale: {one.date}{failed}: {one.reason}; {one.remedy} recomputes it", "yellow")
    yield from _time(plan)
    yield _comment(f"warehouse: {_cost(plan.cost)}")
    covered = ", ".join(f"{one.phase} {_share(one)}" for one in plan.coverage)
    yield _comment(f"coverage afterwards: {covered}")
    if plan.steps:
        yield _comment("an exit code proves nothing: validate again after each phase", "bold")


def _time(plan: Plan) -> Iterator[Text]:
    """How long it takes, which steps wait for windows, and the earliest finish with them."""
    if plan.steps:
        yield _comment(f"time: {format_total_duration(plan.seconds, plan.unknown_steps)}, phase after phase")
    yield from map(_opening, plan.openings)
    if plan.openings and plan.finish_at is not None:
        yield _comment(f"earliest finish: {format_utc(plan.finish_at)}, as the windows allow")
    if plan.unknown_steps:
        yield _comment(
            "durations come from the --state-dir of a daemon that ran the job, or from `estimate` in the file"
        )


def _opening(opening: Opening) -> Text:
    """The steps that wait for a window, and its opening."""
    steps = f"{pluralize(len(opening.steps), 'step')} of {', '.join(opening.processors)}"
    if opening.opens_at is None:
        remedy = "is never open for that long; give it more hours in the pipeline file"
        return _comment(f"never starts: {steps}: the window {opening.window} {remedy}", "red")
    return _comment(
        f"waits for the window {opening.window} to open at {format_utc(opening.opens_at)}: {steps}"
    )


def _selection(plan: Plan, select: Sequence[str]) -> Iterator[Text]:
    """What is selected, and the three rules of a selection with what they mean for this plan."""
    debt = _debt(plan)
    yield _comment(f"selected: {', '.join(select)}")
    yield _comment("- no gate is loosened: a date waits for what it needs and what is not selected")
    yield _comment(
        f"- what is computed from a rewritten output and does not run becomes stale: {debt or 'nothing'}"
    )
    yield _comment("- a date that is done as far as selected ends `selected`, and says what is missing")


def comparison_lines(comparison: Comparison) -> Iterator[Text]:
    """The plans with all, critical and no sources, a column each."""
    options = comparison.options
    rows = [
        ["sources", *(one.sources for one in options)],
        ["steps", *(str(len(one.steps)) for one in options)],
        ["time", *(format_total_duration(one.seconds, one.unknown_steps) for one in options)],
        ["warehouse", *(_bill(one.cost) for one in options)],
        *([f"{covered[0].phase} afterwards", *map(_share, covered)] for covered in _coverages(options)),
        ["waivers", *(str(sum(len(waiver.dates) for waiver in one.waivers)) for one in options)],
        ["dates done", *(f"{one.done_dates}/{one.expected_dates}" for one in options)],
    ]
    yield from _columns(rows)
    yield from (Text(f"  {line}", style="red") for line in _undone(options))
    if comparison.starting_points is not None:
        yield from _starting_points(comparison.starting_points)


def _starting_points(starts: StartingPoints) -> Iterator[Text]:
    """Where to start, a column for each option, then what each proves and what the window needs."""
    options = starts.options
    rows = [
        ["where to start", *(one.start for one in options)],
        ["dates with jobs", *(str(one.dates) for one in options)],
        ["jobs", *(str(one.steps) for one in options)],
        ["time", *(format_total_duration(one.seconds, one.unknown_steps) for one in options)],
        ["warehouse", *(_bill(one.cost) for one in options)],
        ["dates done", *(str(one.done_dates) for one in options)],
    ]
    yield from _columns(rows)
    for one in options:
        yield Text(f"  {one.start} proves: {one.proves}")
    yield Text(
        f"  test window: {starts.window_start}..{starts.window_end}; --window START END states another"
    )
    for need in starts.needs:
        missing = f", of which {len(need.missing)} are missing" if need.missing else ", all present"
        span = f"{need.dates[0]}..{need.dates[-1]}"
        yield Text(f"  it needs {need.processor} of {span}: {pluralize(len(need.dates), 'date')}{missing}")
    if not starts.needs:
        yield Text("  it needs no earlier date")
    for cut in starts.cut_periods:
        others = format_date_ranges(cut.dates)
        yield Text(f"  it cuts {cut.period}, which {cut.processor} takes as a whole: it needs {others} too")
    if starts.before_range:
        ranges = format_date_ranges(starts.before_range)
        yield Text(f"  it needs dates before the range, which no option runs: {ranges}", style="red")


def _debt(plan: Plan) -> str:
    """What becomes stale once the steps have run, with the command that recomputes it; empty for nothing."""
    stale = [f"{name} on {pluralize(n, 'date')}" for name, n in plan.becomes_stale.items()]
    if plan.stale_until is not None:
        is_endless = plan.stale_until == dt.date.max
        dates = "all later dates" if is_endless else f"later dates up to {plan.stale_until}"
        stale.append(f"{dates} that have rows")
    return f"at most {', '.join(stale)}; backfilld retry --stale recomputes it" if stale else ""


def _columns(rows: Sequence[Sequence[str]]) -> Iterator[Text]:
    """Rows with aligned columns, the first one bold."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    yield Text()
    for number, row in enumerate(rows):
        line = "   ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True))
        yield Text(line.rstrip(), style="" if number else "bold")


def _undone(options: Sequence[Plan]) -> Iterator[str]:
    """What stays undone, with the plans that leave it undone."""
    choices: dict[str, list[str]] = defaultdict(list)
    for one in options:
        for stop in one.cannot_run:
            line = f"{stop.phase} of {format_date_ranges(stop.dates)} stays undone: {stop.reason}"
            choices[line].append(one.sources)
    yield from (f"{', '.join(sources)}: {line}" for line, sources in choices.items())


def _phase(phase: PhasePlan) -> Iterator[Text]:
    yield Text()
    count = pluralize(len(phase.steps), "step")
    time = format_total_duration(phase.seconds, phase.unknown_steps)
    yield _comment(f"{phase.phase} ({phase.order}): {count}, {time}", "bold")
    for step in phase.steps:
        yield from _step(step)


def _step(step: Step) -> Iterator[Text]:
    time = f" [{format_duration(step.seconds)}, {step.basis}]" if step.seconds is not None else ""
    yield _comment(
        f"{step.number}. {step.processor} {format_date_ranges(step.dates)}: {step.reason}{time}", "dim"
    )
    if step.needs:
        numbers = ", ".join(str(number) for number in step.needs)
        yield _comment(f"   after {numbers}: {'; '.join(step.waits_for)}", "dim")
    elif step.waits_for:
        yield _comment(f"   needs {'; '.join(step.waits_for)}, which are present", "dim")
    yield Text(step.shell)


def _comment(text: str, style: str = "") -> Text:
    """A shell comment on one line, whatever the error text of a job contains."""
    return Text(f"# {' '.join(text.splitlines())}", style=style)


def _cost(cost: Cost) -> str:
    return ", ".join(filter(None, (f"{cost.queries} queries", _bill(cost), cost.note)))


def _bill(cost: Cost) -> str:
    if cost.bytes is None:
        return "cost unknown"
    dollars = f", {cost.dollars:.4f} USD" if cost.dollars is not None else ""
    return f"{format_bytes(cost.bytes)}{dollars}" if cost.bytes else "free of charge"


def _coverages(options: Sequence[Plan]) -> Iterator[tuple[Coverage, ...]]:
    """For each phase, the coverage after each option."""
    return zip(*(one.coverage for one in options), strict=True)


def _share(covered: Coverage) -> str:
    share = f" ({covered.percent:.1f}%)" if covered.percent is not None else ""
    return f"{covered.complete}/{covered.expected}{share}"
