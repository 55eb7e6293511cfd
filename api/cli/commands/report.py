"""The verbs that ask the warehouse themselves and need no daemon: validate, preflight, quality."""

from __future__ import annotations

import datetime as dt
import functools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from backfilld.api.cli import show_checks, show_plan, show_validation
from backfilld.api.cli.arguments import DATE
from backfilld.api.cli.commands.pipeline import chosen_pipeline, pipeline_option
from backfilld.api.cli.output import json_option, print_json, print_lines, spinner
from backfilld.api.schemas import plans, reports
from backfilld.daemon.adapters import load_pipeline
from backfilld.daemon.preflight.checklist import preflight as asked_before
from backfilld.daemon.preflight.scripts import refused_options
from backfilld.daemon.reports import quality as qualities
from backfilld.daemon.reports import state_lookup
from backfilld.daemon.reports.plan.plan import Comparison, Plan, compare, plan, unknown_durations
from backfilld.daemon.reports.validation import Validation, validation
from backfilld.daemon.settings import state_database
from backfilld.daemon.warehouses.adapter import DescribedWarehouse
from backfilld.daemon.warehouses.registry import open_warehouse
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.records import Sources
from backfilld.state.store.database import Database
from backfilld.state.store.errors import DatabaseUnavailable
from backfilld.state.store.schema_version import schema_version

state_option = click.option(
    "--state-dir",
    envvar="BACKFILLD_STATE_DIR",
    help="Where a daemon keeps its state; else BACKFILLD_STATE_DIR.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """The pipeline file and the dates, both included, that a verb is about."""

    path: Path
    start: dt.date
    end: dt.date


def range_arguments(command: Callable[..., None]) -> Callable[..., None]:
    """START, END and --pipeline on a verb, as one `About`."""

    @click.argument("start", type=DATE)
    @click.argument("end", type=DATE, required=False)
    @pipeline_option
    @functools.wraps(command)
    def call(start: str, end: str | None, path: str | None, **options: object) -> None:
        first, last = ordered(start, end or start)
        command(About(path=chosen_pipeline(path), start=first, end=last), **options)

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


@click.command()
@range_arguments
@state_option
@click.option("--plan", "planned", is_flag=True, help="Also what would run, in order, as commands to paste.")
@click.option(
    "--sources",
    "--scrapers",
    "sources",
    type=click.Choice([one.value for one in Sources]),
    help="Which sources the plan may run; implies --plan.",
)
@click.option("--compare", "compared", is_flag=True, help="Also the plans with all, critical and no sources.")
@click.option("--dates", "per_date", is_flag=True, help="Also how each date stands in each phase.")
@json_option
def validate(
    range_arguments: About,
    state_dir: str | None,
    planned: bool,
    sources: str | None,
    compared: bool,
    per_date: bool,
    as_json: bool,
) -> None:
    """Tell what START to END have and why not, by the engine's own gates.

    With a daemon's state directory its attempts and accepted gaps count, and times are those it measured.
    """
    pipeline = load_pipeline(range_arguments.path)
    refused = refused_options(pipeline) if planned or sources or compared else {}
    made: Plan | None = None
    options: Comparison | None = None
    with _remembering(state_dir) as db, _asking(pipeline) as warehouse, spinner("asking the warehouse"):
        known = (
            state_lookup.known_checks(db, pipeline, range_arguments.start, range_arguments.end)
            if db
            else None
        )
        typical = state_lookup.typical_seconds(db, pipeline).get if db else unknown_durations
        report = validation(
            pipeline, warehouse, range_arguments.start, range_arguments.end, now=time.time(), known=known
        )
        if planned or sources:
            chosen = Sources(sources or Sources.ALL)
            stale = state_lookup.stale_dates(db, range_arguments.start, range_arguments.end) if db else []
            made = plan(
                report,
                pipeline,
                sources=chosen,
                typical_seconds=typical,
                price=warehouse.estimate_bytes,
                stale=stale,
                refused_options=refused,
            )
        if compared:
            options = compare(
                report,
                pipeline,
                typical_seconds=typical,
                price=warehouse.estimate_bytes,
                refused_options=refused,
            )
    if as_json:
        print_json(_as_json(report, made, options))
    else:
        print_lines(show_validation.lines(report, per_date=per_date))
        print_lines(show_plan.lines(made) if made else ())
        print_lines(show_plan.side_by_side(options) if options else ())
    raise click.exceptions.Exit(0 if report.ready and not report.warnings else 1)


@click.command()
@click.argument("start", type=DATE, required=False)
@click.argument("end", type=DATE, required=False)
@pipeline_option
@state_option
@click.option("--quick", is_flag=True, help="Leave out the dry runs of jobs.")
@json_option
def preflight(
    start: str | None, end: str | None, path: str | None, state_dir: str | None, quick: bool, as_json: bool
) -> None:
    """Check that START to END can start.

    Without dates it is about all seasons up to yesterday. Exit codes: 0 ready, 1 not ready, 2 ready with
    warnings.
    """
    first, last = ordered(start, end or start) if start else (None, None)
    with spinner("preflight") as tell:
        told = asked_before(
            chosen_pipeline(path),
            now=time.time(),
            start=first,
            end=last,
            state_dir=Path(state_dir) if state_dir else None,
            quick=quick,
            on_check=tell,
        )
    if as_json:
        print_json(reports.Preflight.plain(told))
    else:
        print_lines(show_checks.preflight(told))
    raise click.exceptions.Exit(told.exit_code)


@click.command()
@range_arguments
@json_option
def quality(range_arguments: About, as_json: bool) -> None:
    """Count rows that are there and below their standard."""
    pipeline = load_pipeline(range_arguments.path)
    with _asking(pipeline) as warehouse, spinner("counting rows"):
        told = qualities.quality(
            pipeline, warehouse, range_arguments.start, range_arguments.end, now=time.time()
        )
    if as_json:
        print_json(reports.Quality.plain(told))
    else:
        print_lines(show_checks.quality(told))
    raise click.exceptions.Exit(0 if told.good else 1)


@contextmanager
def _asking(pipeline: Pipeline) -> Iterator[DescribedWarehouse]:
    warehouse = open_warehouse(pipeline)
    try:
        yield warehouse
    finally:
        warehouse.close()


@contextmanager
def _remembering(state_dir: str | None) -> Iterator[Database | None]:
    """The state database, where there is one yet; that there is none is told.

    Raises:
        DatabaseUnusable: it cannot be read, or is not of this version.
    """
    db = Database(state_database(state_dir)) if state_dir else None
    if db is not None and not db.exists:
        without = "counted without a daemon's attempts and accepted gaps; correct --state-dir or leave it out"
        click.echo(f"no state database in {db.path.parent}: {without}", err=True)
        db = None
    if db is None:
        yield None
        return
    try:
        with db.read() as tx:
            found = schema_version(tx)
        if found.current != found.newest:
            remedy = (
                "start the daemon once, which upgrades it" if found.known else "use the version that wrote it"
            )
            raise DatabaseUnavailable(
                f"{db.name} has {f'schema {found.current}' if found.current else 'no schema yet'}, this"
                f" backfilld wants {found.newest}: {remedy}, or leave --state-dir out"
            )
        yield db
    finally:
        db.close()


def _as_json(report: Validation, made: Plan | None, options: Comparison | None) -> dict[str, Any]:
    """The report, with plan and comparison as keys of it where they were asked for."""
    told = reports.Validation.plain(report)
    if made:
        told["plan"] = plans.Plan.plain(made)
    if options:
        told["comparison"] = plans.Comparison.plain(options)
    return told
