"""Mistakes in a pipeline file that its keys' types do not show. Pure."""

from __future__ import annotations

import graphlib
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from backfilld.state.pipeline.base_warehouse_settings import SqlKind
from backfilld.state.pipeline.closed_hours_validation import window_problems
from backfilld.state.pipeline.comparison_validation import comparison_problems
from backfilld.state.pipeline.duplicate_and_unknown_names import nearest, processor_key, repeated_names
from backfilld.state.pipeline.duration_validation import duration_warnings
from backfilld.state.pipeline.field_types import IDENTIFIER
from backfilld.state.pipeline.job_settings import JobDefaults, JobSettings
from backfilld.state.pipeline.needs_validation import need_problems, need_warnings
from backfilld.state.pipeline.phase import DONE, FAILED, PENDING, Phase
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.pipeline.placeholders import command_problems
from backfilld.state.pipeline.pool_validation import pool_problems
from backfilld.state.pipeline.processor import PLACEHOLDERS, Processor
from backfilld.state.pipeline.shared_table_validation import shared_table_warnings
from backfilld.state.pipeline.user_defined_preflight_settings import PLACEHOLDERS as PREFLIGHT_PLACEHOLDERS
from backfilld.state.rules.expectation_suite import Expectation
from backfilld.state.rules.expectations.check_command import PLACEHOLDERS as CHECK_PLACEHOLDERS
from backfilld.state.spelling_suggestions import did_you_mean

Location = tuple[int | str, ...]
"""A key's path, with numbers for the items of lists."""


def validate(pipeline: Pipeline) -> Iterator[str]:
    """One line for each mistake: key, what is wrong, remedy."""
    yield from _value_problems(pipeline)
    yield from _job_problems(pipeline)
    yield from _name_problems(pipeline)
    yield from _reference_problems(pipeline)
    yield from _expectation_problems(pipeline)
    yield from repeated_names("preflight.check", (check.name for check in pipeline.preflight.check))
    yield from need_problems(pipeline)
    yield from pool_problems(pipeline)
    yield from window_problems(pipeline)
    yield from _sql_problems(pipeline)
    yield from _table_problems(pipeline)


def warnings(pipeline: Pipeline) -> Iterator[str]:
    """One line for what accepts more than it seems to, and for each past without a stated begin."""
    for phase in pipeline.phase:
        for processor in phase.processor:
            where = f"{processor_key(phase, processor)}.expect"
            for key, days in _silent_zeros(processor.expect):
                yield (
                    f"{where}.{key}: a minimum of 0 rows accepts a silent zero{days}: a run that succeeds and"
                    " writes nothing is complete; write 1 or more, or expect.bootstrap_days for days without"
                    " output"
                )
    yield from need_warnings(pipeline)
    yield from shared_table_warnings(pipeline)
    yield from duration_warnings(pipeline)


def _silent_zeros(expect: Expectation) -> Iterator[tuple[str, str]]:
    """The keys whose minimum of 0 rows decides, each with the days on which it does."""
    for step in expect.ramp.root if expect.ramp else ():
        if step.rows[0] == 0:
            yield "ramp", f" until day {step.until_day}"
    minimums: dict[str, float] = {}
    if expect.rows:
        minimums["rows"] = expect.rows.root[0]
    if expect.rows_per:
        minimums |= {f"rows_per.{name}": bounds[0] for name, bounds in expect.rows_per.root.items()}
    if expect.ratio:
        minimums["ratio.min"] = expect.ratio.min
    if minimums and not any(minimums.values()):
        yield from ((key, "") for key in minimums)


def key_path(loc: Location, data: Any) -> str:
    """The path of a key, with names in place of numbers where the tables of a list have one."""
    words: list[str] = []
    for index, part in enumerate(loc):
        if isinstance(part, int):
            name = lookup(data, (*loc[: index + 1], "name"))
            words[-1] += f"[{name if isinstance(name, str) else part}]"
        else:
            words.append(part)
    return ".".join(words)


def lookup(data: Any, loc: Location) -> Any:
    """The value at a path; None where there is none, which TOML cannot write."""
    try:
        for part in loc:
            data = data[part]
    except (KeyError, IndexError, TypeError):
        return None
    return data


def _value_problems(pipeline: Pipeline) -> Iterator[str]:
    """Values that TOML can write and that no database, clock or process can use."""
    data = pipeline.model_dump(by_alias=True)
    for loc, value in _leaves(data):
        if isinstance(value, str) and "\0" in value:
            problem = "holds a NUL character; remove it"
        elif isinstance(value, float) and not math.isfinite(value):
            problem = f"{value} is not a usable number; write a smaller one"
        else:
            continue
        inherited = loc[4:] and lookup(data["jobs"], loc[4:]) == value
        if not inherited:
            yield f"{key_path(loc, data)}: {problem}"
    yield from _duration_problems(pipeline)
    for key in ("query", "file"):
        if data["calendar"][key] == "":
            yield f"calendar.{key}: is empty; fill it in or remove the key"


def _duration_problems(pipeline: Pipeline) -> Iterator[str]:
    """Durations with which the engine would stop, or would flood the warehouse with queries."""
    engine = pipeline.engine
    if engine.max_evidence_age < 10:
        yield "engine.max_evidence_age: all evidence would be too old to start a job; write 10s or more"
    if engine.recheck_interval < 1:
        yield "engine.recheck_interval: would query the warehouse without a pause; write 1s or more"
    if 0 < engine.revalidate_within < 60:
        yield 'engine.revalidate_within: is too short for all done dates; write 1m or more, or "0s"'
    if pipeline.warehouse.query_timeout == 0:
        yield "warehouse.query_timeout: ends every query at once; write a longer time"


def _leaves(data: Any) -> Iterator[tuple[Location, Any]]:
    """Every key and every value, with its path, in the order of the file."""
    left: list[tuple[Location, Any]] = [((), data)]
    while left:
        loc, value = left.pop()
        if isinstance(value, dict):
            left += [
                one
                for key, item in reversed(value.items())
                for one in (((*loc, key), item), ((*loc, key), key))
            ]
        elif isinstance(value, tuple | list):
            left += [((*loc, index), item) for index, item in reversed(list(enumerate(value)))]
        else:
            yield loc, value


def _job_problems(pipeline: Pipeline) -> Iterator[str]:
    yield from _limit_problems("jobs", pipeline.jobs, {})
    yield from _executor_problems("jobs", pipeline.jobs.executor, pipeline)
    for check in pipeline.preflight.check:
        for problem in command_problems(check.command, PREFLIGHT_PLACEHOLDERS):
            yield f"preflight.check[{check.name}].command: {problem}"
    shared = {key: getattr(pipeline.jobs, key) for key in JobSettings.model_fields}
    for stage in pipeline.stages:
        for processor in stage.processors:
            where = processor_key(stage.phase, processor)
            yield from _limit_problems(where, processor, shared)
            yield from _command_problems(where, processor)
            yield from _placeholder_problems(where, processor, pipeline)
            yield from _resource_problems(where, processor, pipeline)
            if processor.executor != pipeline.jobs.executor:
                yield from _executor_problems(where, processor.executor, pipeline)


def _limit_problems(where: str, settings: JobDefaults | Processor, shared: dict[str, Any]) -> Iterator[str]:
    for key in ("timeout", "idle_timeout"):
        value = getattr(settings, key)
        if value == 0 and shared.get(key) != 0:
            yield f"{where}.{key}: ends every job at once; write a longer time"
    if settings.backoff < 1 and shared.get("backoff") != settings.backoff:
        yield f"{where}.backoff: attempts would follow each other without a pause; write 1s or more"
    for name in settings.env:
        if name not in shared.get("env", {}) and not re.fullmatch(IDENTIFIER, name):
            yield f"{where}.env: {name!r} is not a variable's name; write letters, digits and _"


def _executor_problems(where: str, name: str, pipeline: Pipeline) -> Iterator[str]:
    if name not in pipeline.executor:
        known = list(pipeline.executor)
        yield (
            f"{where}.executor: there is no [executor.{name}]; add it, or write {' or '.join(known)}"
            f"{nearest(name, known)}"
        )


def _placeholder_problems(where: str, processor: Processor, pipeline: Pipeline) -> Iterator[str]:
    if processor.executor in pipeline.executor:
        for name, problem in pipeline.executor_of(processor).refused_placeholders.items():
            if name in processor.placeholders:
                yield f"{where}.command: {{{name}}} {problem}"


def _resource_problems(where: str, processor: Processor, pipeline: Pipeline) -> Iterator[str]:
    if processor.executor in pipeline.executor:
        for problem in pipeline.executor_of(processor).resource_problems(processor.resources):
            yield f"{where}.resources.{problem}"


def _command_problems(where: str, processor: Processor) -> Iterator[str]:
    check = processor.expect.check
    for key, command, known in (
        ("command", processor.command, PLACEHOLDERS),
        ("source_command", processor.source_command, PLACEHOLDERS),
        ("expect.check.command", check.command if check else (), CHECK_PLACEHOLDERS),
    ):
        yield from (f"{where}.{key}: {problem}" for problem in command_problems(command, known))


def _name_problems(pipeline: Pipeline) -> Iterator[str]:
    used: set[str] = set()
    if not pipeline.phase:
        yield "phase: there is none; add [[phase]]"
    for phase in pipeline.phase:
        if not phase.processor:
            yield f"phase[{phase.name}].processor: there is none; add [[phase.processor]]"
        for name in (phase.name, *(p.name for p in phase.processor)):
            if name in used:
                yield f"phase[{phase.name}]: the name '{name}' is used twice; rename one"
            if name in (PENDING, DONE, FAILED):
                yield f"phase[{phase.name}]: '{name}' is a state of its own; choose another name"
            used.add(name)


def _reference_problems(pipeline: Pipeline) -> Iterator[str]:
    for phase in pipeline.phase:
        for processor in phase.processor:
            for key, others in (("fallbacks", processor.fallbacks), ("after", processor.after)):
                for other in others:
                    if problem := _not_a_sibling(pipeline, phase, processor, other):
                        yield f"{processor_key(phase, processor)}.{key}: {problem}"
        yield from _cycle_problems(phase)


def _not_a_sibling(pipeline: Pipeline, phase: Phase, processor: Processor, other: str) -> str:
    """Why a name is not that of another processor of the same phase, with the remedy; empty where it is."""
    names = [p.name for p in phase.processor if p.name != processor.name]
    if other in names:
        return ""
    problem = f"'{other}' is not another processor of this phase"
    if other == processor.name:
        return f"{problem}: it is this one; remove it"
    if other in pipeline.processors:
        return f"{problem}: it is in {pipeline.stage_of[other].phase.name}; remove it"
    return f"{problem}; {did_you_mean(other, names)}"


def _cycle_problems(phase: Phase) -> Iterator[str]:
    if phase.sequential and any(p.after for p in phase.processor):
        yield f"phase[{phase.name}]: after has no meaning in a sequential phase; order the processors"
    if phase.sequential and any(p.fallbacks for p in phase.processor):
        yield f"phase[{phase.name}]: fallbacks have no meaning in a sequential phase; remove them"
    # A processor that names itself is reported at its own key.
    after = {p.name: tuple(n for n in p.predecessors if n != p.name) for p in phase.processor}
    # Who waits for a fallback waits for what the fallback waits for.
    waits = {
        p.name: sum((after.get(f, ()) for f in p.fallbacks if f != p.name), after[p.name])
        for p in phase.processor
    }
    try:
        graphlib.TopologicalSorter(waits).prepare()
    except graphlib.CycleError as error:
        circle = " -> ".join(_with_fallbacks(error.args[1], after, phase))
        yield f"phase[{phase.name}]: after, needs and fallbacks run in a circle: {circle}; remove one"


def _with_fallbacks(circle: Sequence[str], after: Mapping[str, Sequence[str]], phase: Phase) -> Iterator[str]:
    """A circle with the fallback between a processor and one that waits for it by that fallback alone."""
    fallbacks = {p.name: p.fallbacks for p in phase.processor}
    yield circle[0]
    for before, name in pairwise(circle):
        if before not in after[name]:
            yield next(f for f in fallbacks[name] if before in after.get(f, ()))
        yield name


def _expectation_problems(pipeline: Pipeline) -> Iterator[str]:
    earlier: set[str] = set()
    for stage in pipeline.stages:
        for processor in stage.processors:
            where = f"{processor_key(stage.phase, processor)}.expect"
            if processor.expect.count_names and not pipeline.seasons.counted:
                yield f"{where}: rows_per, distinct and per need a calendar with query or file; use rows"
            if processor.expect.ramp and not pipeline.calendar.season:
                yield f"{where}.ramp: counts days of a season; add [[calendar.season]]"
            yield from _partition_problems(where, processor, pipeline)
            yield from comparison_problems(where, processor, pipeline, earlier)
        earlier |= {p.name for p in stage.processors}


def _partition_problems(where: str, processor: Processor, pipeline: Pipeline) -> Iterator[str]:
    if processor.expect.empty is None:
        return
    if not pipeline.warehouse.has_partitions:
        yield f"{where}.empty: this kind of warehouse does not report partitions; write expect.rows = [0]"
    elif processor.table.endswith("*"):
        yield f"{where}.empty: {processor.table} has a table for each date and no partitions; remove it"


def _sql_problems(pipeline: Pipeline) -> Iterator[str]:
    """SQL of the file that its warehouse does not take, or that would not keep to itself, by key."""
    for key, (text, kind) in _sql_texts(pipeline).items():
        warehouse = pipeline.warehouse
        if problem := warehouse.syntax_problem(text, kind) or warehouse.sql_problem(text):
            yield f"{key}: {problem}"


def _sql_texts(pipeline: Pipeline) -> Mapping[str, tuple[str, SqlKind]]:
    """The SQL of the file, by key."""
    calendars = {"calendar": pipeline.calendar.query}
    calendars |= {f"calendar.days[{days.name}]": days.query for days in pipeline.calendar.days}
    texts: dict[str, tuple[str, SqlKind]]
    texts = {f"{where}.query": (query, "query") for where, query in calendars.items() if query}
    for phase in pipeline.phase:
        for processor in phase.processor:
            where = f"{processor_key(phase, processor)}.expect"
            for key, rule in processor.expect.rules.items():
                for name, text in rule.sql_texts().items():
                    texts[f"{where}.{key}.{name}".rstrip(".").replace(".[", "[")] = (text, rule.sql_kind)
    return texts


def _table_problems(pipeline: Pipeline) -> Iterator[str]:
    """Output tables that the kind of warehouse does not have."""
    for phase in pipeline.phase:
        for processor in phase.processor:
            if problem := pipeline.warehouse.table_problem(processor.table, processor.date_column):
                yield f"{processor_key(phase, processor)}.table: {problem}"
