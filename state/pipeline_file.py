"""Reading a pipeline file: every complaint names the file, the key and the remedy."""

from __future__ import annotations

import difflib
import graphlib
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from state.pipeline import DONE, FAILED, PENDING, JobSettings, Phase, Pipeline


class PipelineError(Exception):
    """The pipeline file cannot be used. `problems` has one line each: key, what is wrong, remedy."""

    def __init__(self, path: Path, problems: list[str]) -> None:
        self.path = path
        self.problems = problems
        super().__init__("\n".join(f"{path}: {problem}" for problem in problems))


def load(path: Path) -> Pipeline:
    """Read and check a pipeline file.

    Raises:
        PipelineError: the file cannot be read, is not TOML, or says something impossible.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise PipelineError(path, [f"cannot be read: {error}"]) from error
    except tomllib.TOMLDecodeError as error:
        raise PipelineError(path, [f"is not TOML: {error}"]) from error
    return parse(data, path)


def parse(data: dict[str, Any], path: Path) -> Pipeline:
    """The pipeline of a parsed file that lies at `path`.

    Raises:
        PipelineError: it says something impossible.
    """
    try:
        pipeline = Pipeline.model_validate({**_with_defaults(data), "path": path.absolute()})
    except ValidationError as error:
        raise PipelineError(path, _complaints(error, data)) from error
    problems = [*_name_problems(pipeline), *_reference_problems(pipeline), *_expectation_problems(pipeline)]
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


def _complaints(error: ValidationError, data: dict[str, Any]) -> list[str]:
    """One line per mistake; a default that [jobs] states wrongly is told once, not for each processor."""
    shared = {(e["loc"][1:], e["msg"]) for e in error.errors() if e["loc"][:1] == ("jobs",)}
    own = [e for e in error.errors() if e["loc"][:1] == ("jobs",) or (e["loc"][-1:], e["msg"]) not in shared]
    return [_line(e, data) for e in own]


def _line(error: Any, data: dict[str, Any]) -> str:
    """One complaint: the key's path with names in place of numbers, then what is wrong."""
    words: list[str] = []
    here: Any = data
    for part in error["loc"]:
        here = _step(here, part)
        name = here.get("name") if isinstance(part, int) and isinstance(here, dict) else None
        if isinstance(part, int):
            words[-1:] = [f"{words[-1] if words else ''}[{name or part}]"]
        else:
            words.append(str(part))
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "missing":
        message = "is required; add it"
    return f"{'.'.join(words) or 'top level'}: {message}"


def _step(here: Any, part: int | str) -> Any:
    try:
        return here[part]
    except (KeyError, IndexError, TypeError):
        return None


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
    try:
        graphlib.TopologicalSorter({p.name: p.after for p in phase.processor}).prepare()
    except graphlib.CycleError as error:
        yield f"phase[{phase.name}]: after runs in a circle: {' -> '.join(error.args[1])}; remove one"


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
        if phase.lookback == "season" and not pipeline.calendar.season:
            yield f"phase[{phase.name}].lookback: there is no season; add [[calendar.season]] or give days"


def _nearest(name: str, known: list[str]) -> str:
    match = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean '{match[0]}'?" if match else ""
