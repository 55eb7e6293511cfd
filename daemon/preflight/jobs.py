"""Checks of the jobs: program and script exist, compile, take their options and set what they must."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from pathlib import Path

from backfilld.daemon import job_command_inspection
from backfilld.daemon.preflight.context import PreflightContext
from backfilld.daemon.preflight.findings import Finding, failed, passed, warned
from backfilld.daemon.preflight.job_script_options import Script
from backfilld.daemon.preflight.python_source import has_text, option_settings
from backfilld.daemon.preflight.subprocesses import compiles_elsewhere, job_environment
from backfilld.state.formatting import join_truncated, pluralize
from backfilld.state.pipeline.placeholders import OF_DATES

DATE_VARIABLE = "BACKFILLD_DATE"
"""The variable with a job's first date, and the beginning of the one with all of them."""


def programs(context: PreflightContext) -> Iterator[Finding]:
    """Program, working directory and script of each job exist, and the script is not empty."""
    scripts = context.scripts.by_processor
    bad = {name: script.program for name, script in scripts.items() if script.program.problem}
    for program in dict.fromkeys(bad.values()):
        names = [name for name, other in bad.items() if other == program]
        where = str(program.script) if program.script else ""
        exists = program.script is not None and os.path.isfile(program.script)
        hint = "restore the script" if exists else "correct command or cwd in the pipeline file"
        yield failed(f"{join_truncated(names)}: {program.problem}", hint, where=where)
    elsewhere = [name for name in context.pipeline.processors if name not in scripts]
    if elsewhere:
        yield passed(
            f"{pluralize(len(elsewhere), 'job')} of another executor, which alone knows the programs"
        )
    sound = len(scripts) - len(bad)
    yield passed(f"{pluralize(sound, 'job has', 'jobs have')} program, directory and script")
    yield from _check_programs(context)


def _check_programs(context: PreflightContext) -> Iterator[Finding]:
    """Program, working directory and script of each check command, which runs on the daemon's host."""
    commands = context.pipeline.check_commands
    for name, check in commands.items():
        as_job = context.pipeline.processors[name].model_copy(update={"command": check.command})
        if problem := job_command_inspection.program(context.pipeline, as_job).problem:
            yield failed(f"{name}: expect.check: {problem}", "correct command in expect.check, or cwd")
    if commands:
        yield passed(f"{pluralize(len(commands), 'processor has', 'processors have')} a check command")


def compiling(context: PreflightContext) -> Iterator[Finding]:
    """Every Python script compiles."""
    good = 0
    for name, script in context.scripts.by_processor.items():
        if script.broken is None:
            good += script.tree is not None
        elif not _compiles_elsewhere(context, name, script):
            where = f"{script.program.script}:{script.broken.line}"
            yield failed(f"{name}: does not compile: {script.broken}", "repair the script", where=where)
    yield passed(pluralize(good, "Python script compiles", "Python scripts compile"))


def options(context: PreflightContext) -> Iterator[Finding]:
    """Every script takes the options that its command gives it, by its `--help`."""
    good = 0
    for name, script in context.scripts.by_processor.items():
        if script.tree is None:
            continue
        findings = list(_options(context, name, script))
        good += not findings
        yield from findings
    one, more = "script takes the options its command gives", "scripts take the options their commands give"
    yield passed(pluralize(good, one, more))


def dates(context: PreflightContext) -> Iterator[Finding]:
    """Every job gets its date: by a placeholder, or by a variable that its script reads.

    A program whose source is not a script on this host may read the variable.
    """
    dated = {name for name, p in context.pipeline.processors.items() if set(p.placeholders) & set(OF_DATES)}
    undated = [name for name in context.scripts.by_processor if dated and name not in dated]
    missing = [name for name in undated if _ignores_variables(context, name)]
    for name in missing:
        line = f"{name}: its command has no date, and its script does not read {DATE_VARIABLE}"
        hint = "write {date} into command where the job takes its date"
        yield warned(line, hint, where=str(context.scripts.by_processor[name].program.script))
    dated_jobs = len(context.pipeline.processors) - len(missing)
    yield passed(pluralize(dated_jobs, "job gets its date", "jobs get their dates"))


def requires(context: PreflightContext) -> Iterator[Finding]:
    """What must be set to True in a script's source is set there, by its syntax tree."""
    required = [(p.name, option) for p in context.pipeline.processors.values() for option in p.requires]
    good = 0
    for name, option in required:
        script = context.scripts.by_processor.get(name)
        if script is not None and (script.program.problem or script.broken):
            continue  # reported by another check
        if script is None or script.tree is None:
            line = f"{name}: whether {option} is set cannot be seen: there is no Python script to read"
            yield warned(line, "check the job's source by hand")
            continue
        finding = _required(name, option, script.tree, script.program.script)
        good += finding is None
        yield from filter(None, [finding])
    yield passed(
        f"{good} of {len(required)} required options are set to True" if required else "none is required"
    )


def _ignores_variables(context: PreflightContext, name: str) -> bool:
    """Whether a job's script is readable, and has no word of the variables with its dates."""
    script, processor = context.scripts.by_processor[name], context.pipeline.processors[name]
    words = (*processor.command, *processor.env.values())
    if script.program.problem or script.program.script is None or any(DATE_VARIABLE in w for w in words):
        return False
    if script.tree is None:
        return not script.broken and DATE_VARIABLE.encode() not in script.program.script.read_bytes()
    package = script.program.module.rpartition(".")[0]
    return not has_text(script.tree, DATE_VARIABLE, script.program.places, package)


def _options(context: PreflightContext, name: str, script: Script) -> Iterator[Finding]:
    matches, where = context.scripts.matches(name), str(script.program.script)
    if matches is None:
        options = ", ".join(dict.fromkeys(script.program.options))
        line = f"{name}: whether it takes {options} is unknown: its --help cannot be read"
        yield warned(line, "try it by hand: preflight runs no script that may not know --help", where=where)
    for option, match in (matches or {}).items():
        if not match:
            known = context.scripts.options(name) or ()
            taken = ", ".join(sorted(word for word in known if word.startswith("--")))
            yield failed(f"{name}: does not take {option}", f"it takes {taken}", where=where)
        elif match != option:
            line = f"{name}: {option} is taken only as the beginning of {match}"
            yield warned(line, "write it in full", where=where)


def _required(name: str, option: str, tree: ast.Module, path: Path | None) -> Finding | None:
    settings = option_settings(tree, option)
    if not settings.true and settings.otherwise:
        where = f"{path}:{settings.otherwise[0]}"
        return failed(f"{name}: {option} is set, but not to True", f'write "{option}": True', where=where)
    if not settings.true:
        hint = f'add "{option}": True to the options it hands to its processor'
        return failed(f"{name}: {option} is not set to True", hint, where=f"{path}:1")
    if settings.otherwise:
        line = f"{name}: {option} is True in line {settings.true[0]}, and something else elsewhere"
        return warned(line, "make it True wherever it is set", where=f"{path}:{settings.otherwise[0]}")
    return None


def _compiles_elsewhere(context: PreflightContext, name: str, script: Script) -> bool:
    """Whether the job's own interpreter, which may be newer than the daemon's, compiles the script."""
    path, processor = script.program.script, context.pipeline.processors[name]
    if path is None or processor.command[0] == "{python}":
        return False
    env = job_environment(processor, path.parent, ())
    return compiles_elsewhere(script.program.argv0, path, env)
