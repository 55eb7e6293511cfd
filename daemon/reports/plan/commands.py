"""A processor's command for some dates, as it would run and as a line to copy into a shell."""

from __future__ import annotations

import datetime as dt
import shlex
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from backfilld.daemon.command_inspection import cwd_of
from backfilld.daemon.executors.cloud_run.settings import CloudRunSettings
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.pipeline.processor import Processor, date_placeholders


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """An argument vector with its surroundings."""

    argv: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str]
    prepare: str
    execute: tuple[str, ...] = ()
    """What gives it to a Cloud Run job; empty where it runs as it is."""

    @property
    def shell(self) -> str:
        """One line in a subshell, so that it changes nothing where it is pasted."""
        if self.execute:
            variables = [f"{name}={value}" for name, value in self.env.items()]
            lists = [_gcloud_list("--args", self.argv), _gcloud_list("--update-env-vars", variables)]
            return shlex.join([*self.execute, *filter(None, lists)])
        variables = [f"{name}={shlex.quote(value)}" for name, value in self.env.items()]
        call = " ".join([*variables, shlex.join(self.argv)])
        return f"({' && '.join(filter(None, [f'cd {shlex.quote(str(self.cwd))}', self.prepare, call]))})"


def command(
    pipeline: Pipeline, processor: Processor, dates: Sequence[dt.date], *, dates_file: Path | None = None
) -> Command:
    """The processor's command for `dates`, oldest first. `dates_file` is a temporary one unless given."""
    words = date_placeholders(dates)
    prepare = ""
    if "dates_file" in processor.placeholders:
        usual = Path(tempfile.gettempdir(), f"backfilld-{processor.name}-{words['date']}.txt")
        words["dates_file"] = str(dates_file or usual)
        prepare = f"printf '%s\\n' {' '.join(map(str, dates))} > {shlex.quote(words['dates_file'])}"
    argv = processor.argv({**words, "python": sys.executable})
    env = dict(processor.env)
    if not set(processor.placeholders) - {"python"}:
        # Nothing in its words tells the job its date, so it must read it here.
        env |= {"BACKFILLD_DATE": words["date"], "BACKFILLD_DATES": words["dates"]}
    execute = _execute(pipeline, processor)
    return Command(argv=argv, cwd=cwd_of(pipeline, processor), env=env, prepare=prepare, execute=execute)


def _execute(pipeline: Pipeline, processor: Processor) -> tuple[str, ...]:
    place = pipeline.executor_of(processor)
    if not isinstance(place, CloudRunSettings):
        return ()
    where = ("--project", place.project, "--region", place.region, "--wait")
    return ("gcloud", "run", "jobs", "execute", processor.in_cloud_run, *where)


def _gcloud_list(option: str, items: Sequence[str]) -> str:
    """An option with a list, as gcloud takes it, parted by a mark that no item holds; empty without items."""
    mark = next((mark for mark in "|;~@#" if mark not in "".join(items)), "|")
    return f"{option}=^{mark}^{mark.join(items)}" if items else ""
