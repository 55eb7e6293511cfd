"""What the verbs share that query the warehouse themselves: their range of dates, and the warehouse."""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click

from backfilld.api.cli.argument_types import DATE
from backfilld.api.cli.commands.pipeline import chosen_pipeline, pipeline_option
from backfilld.daemon.warehouses.adapter import DescribedWarehouse
from backfilld.daemon.warehouses.open_warehouse import open_warehouse
from backfilld.state.pipeline.pipeline import Pipeline

state_option = click.option(
    "--state-dir",
    envvar="BACKFILLD_STATE_DIR",
    help="State directory of a daemon; else BACKFILLD_STATE_DIR.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRange:
    """The pipeline file of a report and its dates, both ends included."""

    path: Path
    start: dt.date
    end: dt.date


def range_arguments(command: Callable[..., None]) -> Callable[..., None]:
    """START, END and --pipeline on a verb, as one `ReportRange`."""

    @click.argument("start", type=DATE)
    @click.argument("end", type=DATE, required=False)
    @pipeline_option
    @functools.wraps(command)
    def call(start: str, end: str | None, path: str | None, **options: object) -> None:
        first, last = ordered(start, end or start)
        command(ReportRange(path=chosen_pipeline(path), start=first, end=last), **options)

    return call


def ordered(start: str, end: str) -> tuple[dt.date, dt.date]:
    """Both as dates.

    Raises:
        click.BadParameter: END is before START.
    """
    first, last = dt.date.fromisoformat(start), dt.date.fromisoformat(end)
    if last < first:
        raise click.BadParameter(f"{last} is before START {first}", param_hint="END")
    return first, last


@contextmanager
def opened_warehouse(pipeline: Pipeline) -> Iterator[DescribedWarehouse]:
    """The warehouse of a pipeline, closed at the end."""
    warehouse = open_warehouse(pipeline)
    try:
        yield warehouse
    finally:
        warehouse.close()
