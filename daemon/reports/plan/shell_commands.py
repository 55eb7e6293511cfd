"""A processor's command as one line to paste into a shell."""

from __future__ import annotations

import datetime as dt
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from backfilld.daemon.executors.cloud_run.settings import CloudRunSettings
from backfilld.daemon.job_command import job_command, needs_dates_file
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.pipeline.processor import Processor

_DATE_VARIABLES = ("BACKFILLD_DATE", "BACKFILLD_DATES")
_DATES_FILE = "$dates_file"
"""The shell variable with a name from mktemp(1): no other user can foresee it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """An argument vector with its directory, environment and preparation."""

    argv: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str]
    """The processor's variables; the dates too, where the argument vector does not have them."""
    prepare: str
    execute: tuple[str, ...] = ()
    """The gcloud command that runs it in a Cloud Run job; empty where it runs directly."""

    @property
    def shell(self) -> str:
        """One line in a subshell, so that it changes nothing in the shell where it is pasted."""
        if self.execute:
            variables = [f"{name}={value}" for name, value in self.env.items()]
            lists = [_gcloud_list("--args", self.argv), _gcloud_list("--update-env-vars", variables)]
            return shlex.join([*self.execute, *filter(None, lists)])
        variables = [f"{name}={shlex.quote(value)}" for name, value in self.env.items()]
        call = " ".join([*variables, *map(_quoted, self.argv)])
        return f"({' && '.join(filter(None, [f'cd {shlex.quote(str(self.cwd))}', self.prepare, call]))})"


def command(
    pipeline: Pipeline, processor: Processor, dates: Sequence[dt.date], *, dates_file: Path | None = None
) -> Command:
    """The processor's command for `dates`, oldest first. Without a `dates_file`, the line makes one."""
    prepare = ""
    if needs_dates_file(processor) and dates_file is None:
        dates_file = Path(_DATES_FILE)
        listed = " ".join(map(str, pipeline.command_dates(processor, dates)))
        prepare = f"dates_file=$(mktemp) && printf '%s\\n' {listed} > \"{_DATES_FILE}\""
    job = job_command(pipeline, processor, dates, dates_file)
    has_dates = set(processor.placeholders) - {"python"}
    names = set(processor.env) if has_dates else {*processor.env, *_DATE_VARIABLES}
    env = {name: value for name, value in job.env.items() if name in names}
    return Command(
        argv=job.argv, cwd=job.cwd, env=env, prepare=prepare, execute=_execute(pipeline, processor)
    )


def _quoted(word: str) -> str:
    """The word for a shell, which fills in the file of dates."""
    parts = [shlex.quote(part) if part else "" for part in word.split(_DATES_FILE)]
    return f'"{_DATES_FILE}"'.join(parts) or "''"


def _execute(pipeline: Pipeline, processor: Processor) -> tuple[str, ...]:
    settings = pipeline.executor_of(processor)
    if not isinstance(settings, CloudRunSettings):
        return ()
    where = ("--project", settings.project, "--region", settings.region, "--wait")
    return ("gcloud", "run", "jobs", "execute", processor.in_cloud_run, *where)


def _gcloud_list(option: str, items: Sequence[str]) -> str:
    """An option with a list in gcloud's syntax, with a delimiter that no item has; empty without items."""
    delimiter = next((mark for mark in "|;~@#" if mark not in "".join(items)), "|")
    return f"{option}=^{delimiter}^{delimiter.join(items)}" if items else ""
