"""Checks of the jobs: program and script are there, compile, take their options, set what they must."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from pathlib import Path

from backfilld.daemon.command_inspection import JobProgram, cwd_of, words_of
from backfilld.daemon.preflight.context import PreflightContext, Script
from backfilld.daemon.preflight.findings import Finding, failed, passed, warned
from backfilld.daemon.preflight.python_source import Options, parses_a_command_line, settings
from backfilld.daemon.preflight.subprocesses import HELP_SECONDS, compiles_elsewhere, job_environment, run
from backfilld.state.pipeline.processor import Processor

_HELP = ("-h", "--help")


def programs(site: PreflightContext) -> Iterator[Finding]:
    """Program, working directory and script of each job are there, and the script is not empty."""
    bad = {name: script.program for name, script in site.scripts.items() if script.program.problem}
    for name, program in bad.items():
        where = str(program.script) if program.script else ""
        there = program.script is not None and os.path.isfile(program.script)
        hint = "restore the script" if there else "correct command or cwd in the pipeline file"
        yield failed(f"{name}: {program.problem}", hint, where=where)
    elsewhere = [p.name for p in site.pipeline.processors.values() if p.name not in site.scripts]
    if elsewhere:
        yield passed(f"{len(elsewhere)} jobs run by another executor, which alone knows their programs")
    yield passed(f"{len(site.scripts) - len(bad)} jobs have program, directory and script")


def compiling(site: PreflightContext) -> Iterator[Finding]:
    """Every Python script compiles."""
    good = 0
    for name, script in site.scripts.items():
        if script.broken is None:
            good += script.tree is not None
        elif not _compiles_elsewhere(site, name, script):
            where = f"{script.program.script}:{script.broken.line}"
            yield failed(f"{name}: does not compile: {script.broken}", "repair the script", where=where)
    yield passed(f"{good} Python scripts compile")


def options(site: PreflightContext) -> Iterator[Finding]:
    """Every script takes the options that its command gives it."""
    good = 0
    for name, script in site.scripts.items():
        if script.tree is None:
            continue
        findings = list(_options(site, name, script))
        good += not findings
        yield from findings
    yield passed(f"{good} scripts take the options their commands give")


def requires(site: PreflightContext) -> Iterator[Finding]:
    """What must be set to True in a script's source is set there, by its syntax tree."""
    wanted = [(p.name, option) for p in site.pipeline.processors.values() for option in p.requires]
    good = 0
    for name, option in wanted:
        script = site.scripts.get(name)
        if script is not None and (script.program.problem or script.broken):
            continue  # told already by another check
        if script is None or script.tree is None:
            line = f"{name}: whether {option} is set cannot be seen: there is no Python script to read"
            yield warned(line, "look yourself")
            continue
        finding = _required(name, option, script.tree, script.program.script)
        good += finding is None
        yield from filter(None, [finding])
    yield passed(
        f"{good} of {len(wanted)} required options are set to True" if wanted else "none is required"
    )


def takes(site: PreflightContext, name: str, option: str) -> bool | None:
    """Whether a job's script takes an option; None where nobody can tell without running it."""
    script = site.scripts[name]
    if script.tree is None:
        return None
    if option in script.options.known or option in _HELP:
        return True
    if script.options.parser_line is not None and not script.options.open:
        return False
    text = _help(site, name)
    return None if text is None else option in _words(text)


def _options(site: PreflightContext, name: str, script: Script) -> Iterator[Finding]:
    program, known = script.program, script.options
    for option in dict.fromkeys(program.options):
        answer = takes(site, name, option)
        full = _abbreviated(option, known)
        where = f"{program.script}:{known.parser_line or 1}"
        if answer is False and full:
            yield warned(
                f"{name}: {option} is taken only as the beginning of {full}", "write it in full", where=where
            )
        elif answer is False:
            told = ", ".join(sorted(known.known)) or "none that its text shows"
            yield failed(f"{name}: does not take {option}", f"it takes {told}", where=where)
        elif answer is None:
            line = f"{name}: whether it takes {option} cannot be told from its text"
            yield warned(
                line, "try it by hand: preflight runs no script that may not know --help", where=where
            )


def _abbreviated(option: str, known: Options) -> str:
    """The one option that argparse would take this for, or empty."""
    longer = [name for name in known.known if name.startswith(option) and option.startswith("--")]
    return longer[0] if len(longer) == 1 and known.abbreviated else ""


def _required(name: str, option: str, tree: ast.Module, path: Path | None) -> Finding | None:
    found = settings(tree, option)
    if not found.true and found.otherwise:
        where = f"{path}:{found.otherwise[0]}"
        return failed(f"{name}: {option} is set, but not to True", f'write "{option}": True', where=where)
    if not found.true:
        hint = f'add "{option}": True to the options it hands to its processor'
        return failed(f"{name}: {option} is not set to True", hint, where=f"{path}:1")
    if found.otherwise:
        line = f"{name}: {option} is True in line {found.true[0]}, and something else elsewhere"
        return warned(line, "make it True wherever it is set", where=f"{path}:{found.otherwise[0]}")
    return None


def _help(site: PreflightContext, name: str) -> str | None:
    """What the script's own `--help` prints; None where asking for it might begin its work, or failed."""
    script, processor = site.scripts[name], site.pipeline.processors[name]
    if script.tree is None:
        return None
    package = script.program.module.rpartition(".")[0]
    if not parses_a_command_line(script.tree, script.program.places, package):
        return None
    cwd = cwd_of(site.pipeline, processor)
    argv = _up_to_script(script.program, processor)
    if (known := site.helps.get((argv, cwd))) is None:
        env = job_environment(processor, cwd, argv)
        known = site.helps[argv, cwd] = run([*argv, "--help"], cwd=cwd, env=env, seconds=HELP_SECONDS)
    return known.output if known.code == 0 else None


def _up_to_script(program: JobProgram, processor: Processor) -> tuple[str, ...]:
    """The words that start the script, without any of its own."""
    words = words_of(processor)
    words[0] = program.argv0
    return tuple(words[: len(words) - program.own_words])


def _words(text: str) -> set[str]:
    return set(text.replace(",", " ").replace("[", " ").replace("]", " ").replace("=", " ").split())


def _compiles_elsewhere(site: PreflightContext, name: str, script: Script) -> bool:
    """Another interpreter may be newer than ours; it is asked only when ours does not understand."""
    path, processor = script.program.script, site.pipeline.processors[name]
    if path is None or processor.command[0] == "{python}":
        return False
    env = job_environment(processor, path.parent, ())
    return compiles_elsewhere(script.program.argv0, path, env)
