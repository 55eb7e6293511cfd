"""Reading a pipeline file: every complaint names the file, the key and the remedy."""

from __future__ import annotations

import tomllib
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from backfilld.state.base_errors import UserError
from backfilld.state.pipeline.days_settings import read_date_files
from backfilld.state.pipeline.job_settings import JobSettings
from backfilld.state.pipeline.partial_validation import remaining_problems
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.pipeline.semantic_validation import Location, key_path, lookup, validate
from backfilld.state.pipeline.settings_by_kind import Adapters


class PipelineError(UserError):
    """The pipeline file cannot be used. `problems` has one line each: key, what is wrong, remedy."""

    def __init__(self, path: Path, problems: list[str]) -> None:
        self.path = path
        self.problems = [_one_line(problem) for problem in dict.fromkeys(problems)]
        super().__init__("\n".join(f"{path}: {problem}" for problem in self.problems))


def load(path: Path, *, adapters: Adapters) -> Pipeline:
    """Read and check a pipeline file; `adapters` are the kinds of warehouses and executors that it may name.

    Raises:
        PipelineError: the file cannot be read, is not TOML, or says something impossible.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except tomllib.TOMLDecodeError as error:
        raise PipelineError(path, [f"is not TOML: {error}"]) from error
    except RecursionError as error:
        raise PipelineError(path, ["is not TOML: brackets within brackets without end"]) from error
    except FileNotFoundError as error:
        remedy = "correct --pipeline or BACKFILLD_PIPELINE"
        raise PipelineError(path, [f"there is no such file; {remedy}"]) from error
    except IsADirectoryError as error:
        raise PipelineError(
            path, ["cannot be read: it is a directory; name the pipeline file in it"]
        ) from error
    except OSError as error:
        remedy = "correct the path, or let this user read it"
        raise PipelineError(path, [f"cannot be read: {error.strerror}; {remedy}"]) from error
    except ValueError as error:
        raise PipelineError(path, [f"cannot be read: {error}"]) from error
    return parse(data, path, adapters=adapters)


def parse(data: dict[str, Any], path: Path, *, adapters: Adapters) -> Pipeline:
    """The pipeline of a parsed file that lies at `path`.

    Raises:
        PipelineError: it says something impossible.
    """
    problems = []
    if "path" in data:
        problems.append("top level: unknown key 'path'; the lake's belongs under [warehouse]")
    calendar, unreadable = read_date_files(data.get("calendar"), path.absolute().parent)
    data = {**data, "calendar": calendar} if calendar is not None else data
    tables = {**_with_defaults(data), "path": path.absolute()}
    parse_tables = partial(Pipeline.model_validate, context=adapters)
    try:
        pipeline = parse_tables(tables)
    except ValidationError as error:
        remaining = remaining_problems(tables, error, parse_tables)
        raise PipelineError(path, [*problems, *unreadable, *_complaints(error, data), *remaining]) from error
    if problems := [*problems, *unreadable, *validate(pipeline)]:
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
    "range": "is not a range; write [min] or [min, max]",
    "missing": "is required; add it",
    "tuple_type": "is not a list; put it in [ ], or open each of its tables with [[ ]]",
    "model_type": "is not a table; write its keys under a [header], or in {{ }}",
    "dict_type": "is not a table; write its keys under a [header], or in {{ }}",
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
    "finite_number": "is not a usable number; write a smaller one",
    "too_short": "is empty; fill it in",
    "string_too_short": "is empty; fill it in",
    "string_too_long": "is too long; write {max_length} characters or fewer",
}
_FORMS = {
    **dict.fromkeys(("table", "from"), "is not a table's name; write dataset.table or project.dataset.table"),
    "name": "is not a name; write small letters, digits and _, a letter first",
    "cloud_run_job": "is not the name of a Cloud Run job; write small letters, digits and -, a letter first",
}


def _complaints(error: ValidationError, data: dict[str, Any]) -> list[str]:
    """One line per mistake, where it was made: not at each processor that inherits it from [jobs]."""
    errors = [e for e in error.errors() if not _inherited(e["loc"], data)]
    places = {e["loc"][:n] for e in errors for n in range(len(e["loc"]))}
    return [_line(e, data) for e in errors if not (e["type"] == "too_short" and e["loc"] in places)]


def _inherited(loc: Location, data: dict[str, Any]) -> bool:
    return (
        loc[:1] == ("phase",)
        and loc[4:5] != ()
        and loc[4] in JobSettings.model_fields
        and lookup(data, loc) is None
    )


def _line(error: Any, data: dict[str, Any]) -> str:
    """One complaint: the key's path, the value, what is wrong with it and the remedy."""
    loc, kind, value = error["loc"], error["type"], error["input"]
    shown = f"{value!r:.60} " if isinstance(value, str | int | float) else ""
    if "lookback" in loc:  # a union: pydantic reports each of its members
        return f'{key_path(loc[: loc.index("lookback") + 1], data)}: write "season" or a number of days'
    if kind in _WORDS:
        message = _WORDS[kind].format(**error.get("ctx", {}))
    elif kind == "string_pattern_mismatch":
        message = _FORMS.get(loc[-1], "is not a column's name; write letters, digits and _, no digit first")
    else:
        shown, message = "", error["msg"].removeprefix("Value error, ")
    return f"{key_path(loc, data) or 'top level'}: {shown}{message}"


def _one_line(text: str) -> str:
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
