"""Reading a pipeline file: every complaint names the file, the key and the remedy."""

from __future__ import annotations

import difflib
import graphlib
import math
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from state.expectation import IDENTIFIER
from state.pipeline import DONE, FAILED, PENDING, PLACEHOLDERS, Jobs, JobSettings, Phase, Pipeline, Processor


class PipelineError(Exception):
    """The pipeline file cannot be used. `problems` has one line each: key, what is wrong, remedy."""

    def __init__(self, path: Path, problems: list[str]) -> None:
        self.path = path
        self.problems = [_one_line(problem) for problem in dict.fromkeys(problems)]
        super().__init__("\n".join(f"{path}: {problem}" for problem in self.problems))


def load(path: Path) -> Pipeline:
    """Read and check a pipeline file.

    Raises:
        PipelineError: the file cannot be read, is not TOML, or says something impossible.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except tomllib.TOMLDecodeError as error:
        raise PipelineError(path, [f"is not TOML: {error}"]) from error
    except RecursionError as error:
        raise PipelineError(path, ["is not TOML: brackets within brackets without end"]) from error
    except (OSError, ValueError) as error:
        raise PipelineError(path, [f"cannot be read: {error}"]) from error
    return parse(data, path)


def parse(data: dict[str, Any], path: Path) -> Pipeline:
    """The pipeline of a parsed file that lies at `path`.

    Raises:
        PipelineError: it says something impossible.
    """
    if "path" in data:
        raise PipelineError(path, ["top level: unknown key 'path'; the lake's belongs under [warehouse]"])
    try:
        pipeline = Pipeline.model_validate({**_with_defaults(data), "path": path.absolute()})
    except ValidationError as error:
        raise PipelineError(path, _complaints(error, data)) from error
    checks = (_value_problems, _job_problems, _name_problems, _reference_problems, _expectation_problems)
    problems = [problem for check in checks for problem in check(pipeline)]
    if problems:
        raise PipelineError(path, problems)
    return pipeline


def _with_defaults(data: dict[str, Any]) -> dict[str, Any]:
    """Each processor with what [jobs] states and it does not; `env` is merged key by key."""
    jobs = data.get("jobs")
    if not isinstance(jobs, dict):
        return data
    shared = {key: jobs[key] for key in JobSettings.model_fields if key in jobs}
    return {**data, "phase": _map_tables(data.get("phase"), lambda phase: _phase_with(phase, shared))}


def _phase_with(phase: dict[str, Any], shared: dict[str, Any]) -> dict[str, Any]:
    def merged(processor: dict[str, Any]) -> dict[str, Any]:
        joined = {**shared, **processor}
        if isinstance(shared.get("env"), dict) and isinstance(processor.get("env"), dict):
            joined["env"] = {**shared["env"], **processor["env"]}
        return joined

    return {**phase, "processor": _map_tables(phase.get("processor"), merged)}


def _map_tables(value: Any, change: Any) -> Any:
    """`value` with `change` applied to each table of a list of tables; anything else as it is."""
    if not isinstance(value, list):
        return value
    return [change(item) if isinstance(item, dict) else item for item in value]


_WORDS = {
    "missing": "is required; add it",
    "tuple_type": "is not a list; put it in [ ], or open each of its tables with [[ ]]",
    "model_type": "is not a table; write its keys under a [header], or in { }",
    "dict_type": "is not a table; write its keys under a [header], or in { }",
    "string_type": 'is not a text; put it in "quotes"',
    "int_type": "is not a whole number; write it without quotes and point",
    "float_type": "is not a number; write it without quotes",
    "bool_type": "is neither true nor false; write one of them, without quotes",
    "date_type": "is not a date; write it like 2021-10-19, without quotes",
    "literal_error": "is not known; write {expected}",
    "enum": "is not known; write {expected}",
    "greater_than": "is too small; write more than {gt}",
    "greater_than_equal": "is too small; write {ge} or more",
    "less_than": "is too large; write less than {lt}",
    "less_than_equal": "is too large; write {le} or less",
    "too_short": "is empty; fill it in",
    "string_too_short": "is empty; fill it in",
    "string_too_long": "is too long; write {max_length} characters or fewer",
}
_FORMS = {
    "table": "is not a table's name; write dataset.table or project.dataset.table",
    "name": "is not a name; write small letters, digits and _, a letter first",
    "executor": "is not a name; write small letters, digits and _, a letter first",
}


def _complaints(error: ValidationError, data: dict[str, Any]) -> list[str]:
    """One line per mistake, told where it was made: not for each processor that inherits it from [jobs]."""
    errors = [e for e in error.errors() if not _inherited(e["loc"], data)]
    places = {e["loc"][:-1] for e in errors}
    return [_line(e, data) for e in errors if not (e["type"] == "too_short" and e["loc"] in places)]


def _inherited(loc: tuple[int | str, ...], data: dict[str, Any]) -> bool:
    here: Any = data
    for part in loc:
        here = _step(here, part)
    return loc[:1] == ("phase",) and loc[4:5] != () and loc[4] in JobSettings.model_fields and here is None


def _line(error: Any, data: dict[str, Any]) -> str:
    """One complaint: the key's path, the value, what is wrong with it and the remedy."""
    loc, kind, value = error["loc"], error["type"], error["input"]
    shown = f"{value!r:.60} " if isinstance(value, str | int | float) else ""
    if "lookback" in loc:
        return f'{_where(loc[: loc.index("lookback") + 1], data)}: write "season" or a number of days'
    if kind in _WORDS:
        message = _WORDS[kind].format(**error.get("ctx", {}))
    elif kind == "string_pattern_mismatch":
        message = _FORMS.get(loc[-1], "is not a column's name; write letters, digits and _, no digit first")
    else:
        shown, message = "", error["msg"].removeprefix("Value error, ")
    return f"{_where(loc, data) or 'top level'}: {shown}{message}"


def _where(loc: tuple[int | str, ...], data: Any) -> str:
    """The path of a key, with names in place of numbers where the tables of a list have one."""
    words: list[str] = []
    here: Any = data
    for part in loc:
        here = _step(here, part)
        if isinstance(part, int):
            name = here.get("name") if isinstance(here, dict) else None
            words[-1] += f"[{name if isinstance(name, str) else part}]"
        else:
            words.append(part)
    return ".".join(words)


def _step(here: Any, part: int | str) -> Any:
    try:
        return here[part]
    except (KeyError, IndexError, TypeError):
        return None


def _one_line(text: str) -> str:
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def _value_problems(pipeline: Pipeline) -> Iterator[str]:
    """Values that TOML can write and no database, clock or process can take."""
    data = pipeline.model_dump()
    for loc, value in _leaves((), data):
        if isinstance(value, str) and "\0" in value:
            yield f"{_where(loc, data)}: holds a NUL character; remove it"
        if isinstance(value, float) and not math.isfinite(value):
            yield f"{_where(loc, data)}: {value} is not a usable number; write a smaller one"
    for key in ("query", "file"):
        if data["calendar"][key] == "":
            yield f"calendar.{key}: is empty; fill it in or remove the key"


def _leaves(loc: tuple[int | str, ...], value: Any) -> Iterator[tuple[tuple[int | str, ...], Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from ((((*loc, key), key)), *_leaves((*loc, key), item))
    elif isinstance(value, tuple | list):
        for index, item in enumerate(value):
            yield from _leaves((*loc, index), item)
    else:
        yield loc, value


def _job_problems(pipeline: Pipeline) -> Iterator[str]:
    yield from _limit_problems("jobs", pipeline.jobs, {})
    shared = {key: getattr(pipeline.jobs, key) for key in JobSettings.model_fields}
    for stage in pipeline.stages:
        for processor in stage.processors:
            where = f"phase[{stage.phase.name}].processor[{processor.name}]"
            yield from _limit_problems(where, processor, shared)
            yield from _command_problems(where, processor)


def _limit_problems(where: str, settings: Jobs | Processor, shared: dict[str, Any]) -> Iterator[str]:
    for key in ("timeout", "silence"):
        value = getattr(settings, key)
        if value == 0 and shared.get(key) != 0:
            yield f"{where}.{key}: ends every job at once; write a longer time"
    for name in settings.env:
        if name not in shared.get("env", {}) and not re.fullmatch(IDENTIFIER, name):
            yield f"{where}.env: {name!r} is not a variable's name; write letters, digits and _"


def _command_problems(where: str, processor: Processor) -> Iterator[str]:
    if not processor.command[0].strip():
        yield f"{where}.command: the first word is empty; write the program there"
    for braces, word in re.findall(r"(\{\s*(\w+)\s*\})", " ".join(processor.command)):
        meant = word.lower()
        if meant in PLACEHOLDERS and braces != f"{{{meant}}}":
            yield f"{where}.command: {braces} is not a placeholder; did you mean {{{meant}}}?"


def _name_problems(pipeline: Pipeline) -> Iterator[str]:
    seen: set[str] = set()
    if not pipeline.phase:
        yield "phase: there is none; add [[phase]]"
    for phase in pipeline.phase:
        if not phase.processor:
            yield f"phase[{phase.name}].processor: there is none; add [[phase.processor]]"
        for name in (phase.name, *(p.name for p in phase.processor)):
            if name in seen:
                yield f"phase[{phase.name}]: the name '{name}' is used twice; rename one"
            if name in (PENDING, DONE, FAILED):
                yield f"phase[{phase.name}]: '{name}' is a state of its own; choose another name"
            seen.add(name)


def _reference_problems(pipeline: Pipeline) -> Iterator[str]:
    for phase in pipeline.phase:
        names = [p.name for p in phase.processor]
        for processor in phase.processor:
            for key, others in (("fallbacks", processor.fallbacks), ("after", processor.after)):
                for other in others:
                    if other not in names or other == processor.name:
                        yield (
                            f"phase[{phase.name}].processor[{processor.name}].{key}: '{other}' is not another"
                            f" processor of this phase{_nearest(other, names)}"
                        )
        yield from _cycle_problems(phase)


def _cycle_problems(phase: Phase) -> Iterator[str]:
    if phase.sequential and any(p.after for p in phase.processor):
        yield f"phase[{phase.name}]: after has no meaning in a sequential phase; order the processors"
    if phase.sequential and any(p.fallbacks for p in phase.processor):
        yield f"phase[{phase.name}]: fallbacks have no meaning in a sequential phase; remove them"
    after = {p.name: p.after for p in phase.processor}
    # Who waits for a fallback waits for what the fallback waits for.
    waits = {p.name: sum((after.get(f, ()) for f in p.fallbacks), p.after) for p in phase.processor}
    try:
        graphlib.TopologicalSorter(waits).prepare()
    except graphlib.CycleError as error:
        circle = " -> ".join(error.args[1])
        yield f"phase[{phase.name}]: after and fallbacks run in a circle: {circle}; remove one"


def _expectation_problems(pipeline: Pipeline) -> Iterator[str]:
    earlier: set[str] = set()
    for stage in pipeline.stages:
        for processor in stage.processors:
            where = f"phase[{stage.phase.name}].processor[{processor.name}].expect"
            if processor.expect.needs_games and not pipeline.seasons.counts_games:
                yield f"{where}: rows_per_game and games_column need a calendar with query or file; use rows"
            if processor.expect.ramp and not pipeline.calendar.season:
                yield f"{where}.ramp: counts days of a season; add [[calendar.season]]"
            ratio = processor.expect.ratio
            if ratio and ratio.of not in earlier | set(processor.after):
                hint = _nearest(ratio.of, list(pipeline.processors))
                yield (
                    f"{where}.ratio.of: '{ratio.of}' is not settled before '{processor.name}'; name a"
                    f" processor of an earlier state, or put it in after{hint}"
                )
        earlier |= {p.name for p in stage.processors}
    for phase in pipeline.phase:
        if isinstance(phase.lookback, int) and phase.lookback < 0:
            yield f"phase[{phase.name}].lookback: {phase.lookback} is too small; write 0 or more days"
        if phase.lookback == "season" and not pipeline.calendar.season:
            yield f"phase[{phase.name}].lookback: there is no season; add [[calendar.season]] or give days"


def _nearest(name: str, known: list[str]) -> str:
    match = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean '{match[0]}'?" if match else ""
