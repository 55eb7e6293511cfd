"""A processor's command for some dates: argument vector, working directory and environment."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.pipeline.processor import Processor, date_placeholders
from backfilld.state.rules.expectations.check_command import CommandCheck


@dataclass(frozen=True, slots=True, kw_only=True)
class JobCommand:
    """What to run. `env` has the processor's variables and those that every job gets."""

    argv: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str]


def job_command(
    pipeline: Pipeline, processor: Processor, dates: Sequence[dt.date], dates_file: Path | None = None
) -> JobCommand:
    """The processor's command for `dates`, oldest first and at least one.

    Where the output of a period is that of its last date, it names all dates of the period.
    `dates_file` is the file that `{dates_file}` names; the caller writes it.
    """
    words = {**date_placeholders(pipeline.command_dates(processor, dates)), "python": sys.executable}
    if dates_file is not None:
        words["dates_file"] = str(dates_file)
    env = {
        **processor.env,
        "BACKFILLD_DATE": str(dates[0]),
        "BACKFILLD_DATES": words["dates"],
        "BACKFILLD_PROCESSOR": processor.name,
    }
    return JobCommand(argv=processor.argv(words), cwd=cwd_of(pipeline, processor), env=env)


def check_command(pipeline: Pipeline, processor: Processor, check: CommandCheck, date: dt.date) -> JobCommand:
    """The processor's check command for a date, in the directory and with the variables of its jobs."""
    words = {**date_placeholders([date]), "python": sys.executable}
    command = job_command(pipeline, processor, [date])
    return JobCommand(argv=check.argv(words), cwd=command.cwd, env=command.env)


def needs_dates_file(processor: Processor) -> bool:
    """Whether the command names a file with its dates."""
    return "dates_file" in processor.placeholders


def cwd_of(pipeline: Pipeline, processor: Processor) -> Path:
    """The directory in which the processor's job runs."""
    return (pipeline.path.parent / processor.cwd).resolve()
