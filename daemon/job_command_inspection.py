"""The program and script that a job's command starts, found without importing or running anything.

Python command lines are understood (`python3 -u jobs/x.py`, `{python} -m package.module`), also behind
`env`, `nice` or `uv run`. Of any other command only the program is inspected.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path

from backfilld.daemon.job_command import cwd_of
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.pipeline.processor import Processor

_PYTHON = re.compile(r"^python(\d+(\.\d+)*)?$")
_SHELLS = ("sh", "bash", "dash", "zsh", "ksh")
_TAKES_VALUE = "WX"
_SEARCHED_BYTES = 65536
"""How many bytes of a script are searched for anything but white space."""
_ABSENT = "does not exist or may not be reached"
"""`os.path` cannot distinguish the two; pathlib raises where a parent folder is closed."""
_OPTION = re.compile(r"^--?[A-Za-z]")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobProgram:
    """What a job's command starts. `problem` says why it cannot start; empty where it can."""

    argv0: str
    """The program's path; its name where it was not found."""
    python: bool = False
    script: Path | None = None
    module: str = ""
    options: tuple[str, ...] = ()
    """The options that the command gives to the script, without their values."""
    own_words: int = 0
    """How many words at the command's end are the script's arguments."""
    places: tuple[Path, ...] = ()
    """The import path of the job's modules: script's folder, working directory, PYTHONPATH."""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class _Invocation:
    """The parts of a Python command line."""

    script: str = ""
    module: str = ""
    rest: tuple[str, ...] = ()


def words_of(processor: Processor) -> list[str]:
    """The processor's command, with the daemon's interpreter for `{python}`."""
    return [sys.executable if word == "{python}" else word for word in processor.command]


def program(pipeline: Pipeline, processor: Processor) -> JobProgram:
    """What the processor's command starts, with `problem` where that does not exist or is empty."""
    cwd = cwd_of(pipeline, processor)
    words = words_of(processor)
    argv0 = _which(words[0], cwd, processor.env.get("PATH"))
    if not os.path.isdir(cwd):
        return JobProgram(argv0=argv0 or words[0], problem=f"its working directory {cwd} {_ABSENT}")
    if argv0 is None:
        return JobProgram(
            argv0=words[0], problem=f"the program {words[0]} does not exist or cannot be executed"
        )
    return _inspect_python(words, argv0, cwd, processor.env.get("PYTHONPATH", ""))


def find_module(name: str, places: Iterable[Path]) -> Path | None:
    """The file of a dotted module, a package's `__main__` for a package; nothing is imported."""
    importlib.invalidate_caches()
    *parents, last = name.split(".")
    search = [str(place) for place in places]
    for part in parents:
        spec = PathFinder.find_spec(part, search)
        if spec is None or spec.submodule_search_locations is None:
            return None
        search = list(spec.submodule_search_locations)
    spec = PathFinder.find_spec(last, search)
    if spec is not None and spec.submodule_search_locations is not None:
        spec = PathFinder.find_spec("__main__", list(spec.submodule_search_locations))
    return Path(spec.origin) if spec is not None and spec.origin else None


def _inspect_python(words: Sequence[str], argv0: str, cwd: Path, pythonpath: str) -> JobProgram:
    at = next((n for n, word in enumerate(words) if _is_python(word)), None)
    if at is None:
        return _inspect_other(argv0, words, cwd)
    call = _invocation(words[at + 1 :])
    own = [cwd, *((cwd / entry).resolve() for entry in pythonpath.split(os.pathsep) if entry)]
    script = _script(call, own, cwd, words[at])
    if script is not None and call.module:
        package = script.name == "__main__.py"
        own.append(script.parents[call.module.count(".") + package])
    elif script is not None:
        own.insert(0, script.parent)
    return JobProgram(
        argv0=argv0,
        python=True,
        script=script,
        module=call.module,
        options=tuple(_options(call.rest)),
        own_words=len(call.rest),
        places=tuple(dict.fromkeys(own)),
        problem=_script_problem(call, script),
    )


def _is_python(word: str) -> bool:
    return word == sys.executable or bool(_PYTHON.match(os.path.basename(word)))


def _inspect_other(argv0: str, words: Sequence[str], cwd: Path) -> JobProgram:
    """A program that is not Python: a script that can be executed, a shell with one, or neither."""
    script = Path(argv0) if "/" in words[0] else None
    if os.path.basename(words[0]) in _SHELLS:
        script = next((cwd / word for word in words[1:] if not word.startswith("-")), None)
        script = None if "-c" in words else script
    python = script is not None and script.suffix == ".py"
    options = tuple(_options(words[1:]))
    problem = _unusable(script) if script else ""
    return JobProgram(
        argv0=argv0,
        script=script,
        options=options,
        own_words=len(words) - 1,
        places=(script.parent, cwd) if script else (),
        python=python,
        problem=problem,
    )


def _script(call: _Invocation, own: Sequence[Path], cwd: Path, interpreter: str) -> Path | None:
    if not call.module:
        known = call.script and "{" not in call.script
        return (cwd / call.script).resolve() if known else None
    beside = _installed(call.module) if interpreter == sys.executable else None
    return find_module(call.module, [*own, *_site_packages(cwd / interpreter)]) or beside


def _site_packages(interpreter: Path) -> list[Path]:
    """The site-packages of a virtual environment's interpreter."""
    return sorted(interpreter.parent.parent.glob("lib/python3*/site-packages"))


def _script_problem(call: _Invocation, script: Path | None) -> str:
    if script is None and call.module:
        return f"the module {call.module} is neither in the working directory nor in PYTHONPATH"
    if script is None:
        return ""
    return _unusable(script)


def _unusable(script: Path) -> str:
    """Why a script cannot work. An empty one exits 0 and does nothing, so its exit code is no sign."""
    if not os.path.isfile(script):
        return f"the script {script} {_ABSENT}"
    try:
        with script.open("rb") as file:
            start = file.read(_SEARCHED_BYTES)
    except OSError as error:
        return f"the script {script} cannot be read: {error.strerror}"
    return "" if start.strip() else f"the script {script} is empty"


def _invocation(words: Sequence[str]) -> _Invocation:
    """Parse the interpreter's arguments: its options, then a script, `-m` or `-c`."""
    for at, word in enumerate(words):
        if at and _awaits_value(words[at - 1]):
            continue
        if not word.startswith("-") or word == "-":
            return _Invocation(script=word if word != "-" else "", rest=tuple(words[at + 1 :]))
        flag, value = _last_flag(word)
        if flag in ("m", "c"):
            after = at + (1 if value else 2)
            name = value or next(iter(words[at + 1 :]), "")
            return _Invocation(module=name if flag == "m" else "", rest=tuple(words[after:]))
    return _Invocation()


def _last_flag(word: str) -> tuple[str, str]:
    """The flag in a word such as `-um` that takes a value, and the value in the same word, if any."""
    if word.startswith("--"):
        return "", ""
    for at, letter in enumerate(word[1:], start=1):
        if letter in "mc" + _TAKES_VALUE:
            return letter, word[at + 1 :]
    return "", ""


def _awaits_value(word: str) -> bool:
    flag, value = _last_flag(word) if word.startswith("-") else ("", "")
    return (bool(flag) and flag in _TAKES_VALUE and not value) or word == "--check-hash-based-pycs"


def _options(words: Iterable[str]) -> Iterator[str]:
    return (word.partition("=")[0] for word in words if _OPTION.match(word))


def _which(word: str, cwd: Path, path: str | None) -> str | None:
    return shutil.which(str(cwd / word) if "/" in word else word, path=path)


def _installed(module: str) -> Path | None:
    """The file of a module that is installed in the daemon's environment; nothing is imported."""
    top, _, rest = module.partition(".")
    try:
        spec = importlib.util.find_spec(top)
    except ValueError:  # a module without a spec
        return None
    if spec is None:
        return None
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
    if folders:
        return find_module(rest or "__main__", folders)
    return Path(spec.origin) if spec.origin and not rest else None
