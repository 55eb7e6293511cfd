"""Mistakes in what processors need of other dates, and on which days they have output. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from backfilld.state.pipeline.duplicate_and_unknown_names import nearest, processor_key, repeated_names
from backfilld.state.pipeline.phase import Phase
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.pipeline.processor import Processor
from backfilld.state.rules.needs_graph import closure
from backfilld.state.spelling_suggestions import did_you_mean


def need_problems(pipeline: Pipeline) -> Iterator[str]:
    """One line for each mistake: key, what is wrong, remedy."""
    for phase in pipeline.phase:
        if isinstance(phase.lookback, int) and phase.lookback < 0:
            yield f"phase[{phase.name}].lookback: {phase.lookback} is too small; write 0 or more days"
        if phase.lookback == "season" and not pipeline.calendar.season:
            yield f"phase[{phase.name}].lookback: there is no season; add [[calendar.season]] or give days"
        for processor in phase.processor:
            yield from _processor_problems(pipeline, phase, processor)
            yield from _days_problems(pipeline, phase, processor)
    yield from repeated_names("calendar.days", (days.name for days in pipeline.calendar.days))
    for days in pipeline.calendar.days:
        if days.count and not pipeline.seasons.counted:
            yield f"calendar.days[{days.name}].count: needs a calendar with query or file; add one"


def need_warnings(pipeline: Pipeline) -> Iterator[str]:
    """One line for each processor whose past has no stated begin."""
    for processor in pipeline.processors.values():
        if any(need.lookback == "past" for need in pipeline.needs.earlier_of(processor.name)):
            where = processor_key(pipeline.stage_of[processor.name].phase, processor)
            yield (
                f"{where}: without since or a season, its past begins on the first date that was ever"
                " enqueued; write since, its first date"
            )


def _processor_problems(pipeline: Pipeline, phase: Phase, processor: Processor) -> Iterator[str]:
    where = processor_key(phase, processor)
    own = pipeline.stage_of[processor.name]
    for number, need in enumerate(processor.needs or ()):
        key = f"{where}.needs[{number}]"
        if need.since == "season" and not pipeline.calendar.season:
            yield f"{key}.since: there is no season; add [[calendar.season]], or write days_back"
        if need.of is None:
            continue
        stage = pipeline.stage_of.get(need.of)
        if need.of == processor.name:
            yield f"{key}.of: '{need.of}' is the processor itself; write self = true"
        elif stage is None:
            hint = did_you_mean(need.of, pipeline.processors)
            yield f"{key}.of: there is no processor '{need.of}'; {hint}"
        elif stage.index > own.index:
            yield (
                f"{key}.of: '{need.of}' is in {stage.name}, which comes after {own.name}; name a processor of"
                " the same phase or of an earlier one"
            )
    if processor.batch > 1 and _needs_itself(processor):
        yield f"{where}.batch: each date waits for the one before, so write 1, or remove the need of itself"

    if processor.attempt_period and (through := _earlier_dates_through(pipeline, processor)):
        yield (
            f"{where}.period: '{processor.name}' waits for its own earlier dates through"
            f" {', '.join(through)}, so that no attempt can take them together; remove period, or that need"
        )


def _earlier_dates_through(pipeline: Pipeline, processor: Processor) -> list[str]:
    """The processors that a processor needs, directly or through others, and that need the processor."""

    def needed(name: str) -> Iterator[str]:
        of_needs = (of for need in pipeline.needs.direct(name) for of in need.of)
        compared = (pipeline.references[name],) if name in pipeline.references else ()
        names = (*of_needs, *pipeline.processors[name].after, *compared)
        yield from (other for other in names if other in pipeline.processors)

    reached = {processor.name, *closure([processor.name], needed)}
    return [name for name in pipeline.processors if name in reached and processor.name in needed(name)]


def _days_problems(pipeline: Pipeline, phase: Phase, processor: Processor) -> Iterator[str]:
    where = processor_key(phase, processor)
    if processor.days is not None and processor.days not in pipeline.recurring_days:
        hint = nearest(processor.days, pipeline.recurring_days)
        yield f"{where}.days: there are no [[calendar.days]] named '{processor.days}'; add them{hint}"
    if processor.output_period:
        days = pipeline.recurring_days.get(processor.days or "")
        of_days = f"a query or a count of the days '{processor.days}'" if days and days.answered else ""
        cause = "a calendar with query or file" if pipeline.seasons.counted else of_days
        if cause:
            yield (
                f"{where}.period_output: {cause} decides which date of a {processor.period} is its last one;"
                ' write "each", or remove period and name the last dates by a query of [[calendar.days]]'
            )


def _needs_itself(processor: Processor) -> bool:
    return processor.depends_on_past or any(need.itself for need in processor.needs or ())
