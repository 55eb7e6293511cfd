"""The scripts of local jobs: what each command starts, its source, and what its `--help` prints.

A script is run only with `--help`, and only where its source uses a command-line library.
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from backfilld.daemon.job_command import cwd_of
from backfilld.daemon.job_command_inspection import JobProgram, program, words_of
from backfilld.daemon.preflight.python_source import NotPython, answers_help, parse, texts
from backfilld.daemon.preflight.subprocesses import HELP_SECONDS, CommandResult, job_environment, run
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.pipeline.processor import Processor
from backfilld.state.pipeline.settings_by_kind import LOCAL

_HELP_OPTIONS = frozenset({"-h", "--help"})


@dataclass(frozen=True, kw_only=True)
class Script:
    """A job's program and, where it is Python, its syntax tree or why it does not compile."""

    program: JobProgram
    tree: ast.Module | None = None
    broken: NotPython | None = None


@dataclass(frozen=True, kw_only=True)
class Scripts:
    """The scripts of a pipeline's local jobs. Programs of other executors are on other machines."""

    pipeline: Pipeline
    help_results: dict[tuple[tuple[str, ...], Path], CommandResult] = field(default_factory=dict)
    """The results of `--help` by command and directory: several processors may share a script."""

    @cached_property
    def by_processor(self) -> Mapping[str, Script]:
        """The script of each local processor."""
        local = (p for p in self.pipeline.processors.values() if self.pipeline.executor_of(p).kind == LOCAL)
        return {processor.name: _script(program(self.pipeline, processor)) for processor in local}

    def options(self, name: str) -> frozenset[str] | None:
        """The words of the script's `--help`, its options among them; None where it cannot be asked."""
        script = self.by_processor[name]
        if script.tree is None or not _answers_help(script.tree, script.program):
            return None
        result = self._help(script.program, self.pipeline.processors[name])
        return _HELP_OPTIONS | _words(result.output) if result.code == 0 else None

    def matches(self, name: str) -> Mapping[str, str] | None:
        """For each option of the command, the script's option that accepts it, or empty where none does.

        None where that is unknown. A script whose source has all of them as text is not run.
        """
        script = self.by_processor[name]
        given = dict.fromkeys(script.program.options)
        if script.tree is None or not _answers_help(script.tree, script.program):
            return None if given else {}
        if given.keys() <= texts(script.tree):
            return {option: option for option in given}
        known = self.options(name)
        return None if known is None else {option: _match(option, known) for option in given}

    def _help(self, program: JobProgram, processor: Processor) -> CommandResult:
        cwd = cwd_of(self.pipeline, processor)
        argv = _script_argv(program, processor)
        if (argv, cwd) not in self.help_results:
            env = job_environment(processor, cwd, argv)
            self.help_results[argv, cwd] = run([*argv, "--help"], cwd=cwd, env=env, seconds=HELP_SECONDS)
        return self.help_results[argv, cwd]


def refused_options(pipeline: Pipeline) -> dict[str, str]:
    """The local processors whose script refuses an option of its command, with a sentence for each.

    Runs `--help` of the scripts whose source does not show all options.
    """
    scripts = Scripts(pipeline=pipeline)
    matches = {name: scripts.matches(name) or {} for name in scripts.by_processor}
    refused = {name: [o for o, match in found.items() if not match] for name, found in matches.items()}
    return {name: f"the script does not take {', '.join(o)}" for name, o in refused.items() if o}


def _match(option: str, known: frozenset[str]) -> str:
    """The option of `known` that accepts `option`: itself, or the only one that it abbreviates; or empty."""
    if option in known:
        return option
    longer = [word for word in known if option.startswith("--") and word.startswith(option)]
    return longer[0] if len(longer) == 1 else ""


def _answers_help(tree: ast.Module, program: JobProgram) -> bool:
    return answers_help(tree, program.places, program.module.rpartition(".")[0])


def _script(program: JobProgram) -> Script:
    if program.problem or not program.python or program.script is None:
        return Script(program=program)
    try:
        return Script(program=program, tree=parse(program.script))
    except NotPython as error:
        return Script(program=program, broken=error)


def _script_argv(program: JobProgram, processor: Processor) -> tuple[str, ...]:
    """The words that start the script, with its subcommand but without its other arguments."""
    words = words_of(processor)
    words[0] = program.argv0
    start = len(words) - program.own_words
    subcommand = itertools.takewhile(lambda word: word[:1] != "-" and "{" not in word, words[start:])
    return (*words[:start], *subcommand)


def _words(text: str) -> frozenset[str]:
    for separator in ",[]()|=/":
        text = text.replace(separator, " ")
    return frozenset(text.split())
