"""The verbs that query the warehouse themselves and need no daemon: validate, quality."""

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

from backfilld.api.cli import show_plan, show_quality, show_validation
from backfilld.api.cli.arguments import DATE
from backfilld.api.cli.commands.pipeline import chosen_pipeline, pipeline_option
from backfilld.api.cli.output import example, json_option, print_json, print_lines, spinner
from backfilld.api.cli.plan_options import RequestedRun, request_options
from backfilld.api.schemas import plans, reports
from backfilld.daemon.adapters import load_pipeline
from backfilld.daemon.preflight.job_scripts import refused_options
from backfilld.daemon.reports import quality as quality_reports
from backfilld.daemon.reports import state_lookup
from backfilld.daemon.reports.plan.plan import Comparison, Plan, compare, plan, unknown_durations
from backfilld.daemon.reports.validation import Validation, validation
from backfilld.daemon.settings import state_database
from backfilld.daemon.warehouses.adapter import DescribedWarehouse
from backfilld.daemon.warehouses.open_warehouse import open_warehouse
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.store.database import Database
from backfilld.state.store.errors import DatabaseUnavailable
from backfilld.state.store.schema_version import schema_version

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


@click.command(epilog=example("validate 2021-10-19 2021-10-31 --plan", "validate 2021-10-26 --dates --json"))
@range_arguments
@state_option
@click.option("--plan", "planned", is_flag=True, help="Also print what would run, in order, as commands.")
@request_options
@click.option(
    "--compare",
    "compared",
    is_flag=True,
    help="Also compare the plans with all, critical and no sources, and where to start.",
)
@click.option(
    "--window",
    type=(DATE, DATE),
    metavar="START END",
    help="With --compare: the test window of `where to start`; default: two weeks with complete sources.",
)
@click.option("--dates", "per_date", is_flag=True, help="Also print each date in each phase.")
@json_option
def validate(
    scope: ReportRange,
    state_dir: str | None,
    planned: bool,
    requested: RequestedRun,
    compared: bool,
    window: tuple[str, str] | None,
    per_date: bool,
    as_json: bool,
) -> None:
    """Report which data exists, and what would run.

    It judges START to END by the gates of the engine. With --state-dir it includes the attempts and waivers
    of a daemon, and its measured durations. Exit codes: 0 ready, 1 not ready or with warnings.
    """
    tested = _test_window(window, scope, compared=compared)
    pipeline = load_pipeline(scope.path)
    options = requested.options(pipeline)
    planned = planned or requested.stated
    refused = refused_options(pipeline) if planned or compared else {}
    planned_steps: Plan | None = None
    comparison: Comparison | None = None
    with (
        _state_database(state_dir) as db,
        opened_warehouse(pipeline) as warehouse,
        spinner("querying the warehouse"),
    ):
        known = state_lookup.known_checks(db, pipeline, scope.start, scope.end) if db else None
        typical = state_lookup.typical_seconds(db, pipeline).get if db else unknown_durations
        report = validation(pipeline, warehouse, scope.start, scope.end, now=time.time(), known=known)
        done = state_lookup.done_dates(db, scope.start, scope.end) if db else ()
        if planned:
            stale = state_lookup.stale_dates(db, scope.start, scope.end) if db else []
            planned_steps = plan(
                report,
                pipeline,
                options=options,
                typical_seconds=typical,
                price=warehouse.estimate_bytes,
                stale=stale,
                refused_options=refused,
                done=done,
            )
        if compared:
            comparison = compare(
                report,
                pipeline,
                typical_seconds=typical,
                price=warehouse.estimate_bytes,
                refused_options=refused,
                window=tested,
                done=done,
            )
    if as_json:
        print_json(_as_json(report, planned_steps, comparison))
    else:
        print_lines(show_validation.lines(report, per_date=per_date))
        print_lines(show_plan.lines(planned_steps) if planned_steps else ())
        print_lines(show_plan.comparison_lines(comparison) if comparison else ())
    raise click.exceptions.Exit(0 if report.ready and not report.warnings else 1)


def _test_window(
    window: tuple[str, str] | None, scope: ReportRange, *, compared: bool
) -> tuple[dt.date, dt.date] | None:
    """The test window, where one is stated.

    Raises:
        click.UsageError: it is not in the range, or nothing is compared.
    """
    if window is None:
        return None
    first, last = ordered(*window)
    if not compared:
        raise click.UsageError("--window is for --compare; add it, or leave --window out")
    if not scope.start <= first <= last <= scope.end:
        raise click.UsageError(f"--window {first} {last} is not within {scope.start}..{scope.end}")
    return first, last


@click.command(epilog=example("quality 2021-10-19 2021-10-31"))
@range_arguments
@json_option
def quality(scope: ReportRange, as_json: bool) -> None:
    """Count the rows below their quality standard.

    Exit codes: 0 within what the pipeline file allows, 1 otherwise.
    """
    pipeline = load_pipeline(scope.path)
    with opened_warehouse(pipeline) as warehouse, spinner("counting rows"):
        result = quality_reports.quality(pipeline, warehouse, scope.start, scope.end, now=time.time())
    if as_json:
        print_json(reports.Quality.plain(result))
    else:
        print_lines(show_quality.lines(result))
    raise click.exceptions.Exit(0 if result.good else 1)


@contextmanager
def opened_warehouse(pipeline: Pipeline) -> Iterator[DescribedWarehouse]:
    """The warehouse of a pipeline, closed at the end."""
    warehouse = open_warehouse(pipeline)
    try:
        yield warehouse
    finally:
        warehouse.close()


@contextmanager
def _state_database(state_dir: str | None) -> Iterator[Database | None]:
    """The state database; None if there is none, with a warning on stderr if its directory was given.

    Raises:
        DatabaseUnavailable: it cannot be read, or is not of this version.
    """
    db = Database(state_database(state_dir)) if state_dir else None
    if db is not None and not db.exists:
        without = (
            "the attempts and waivers of the daemon are not included; correct --state-dir or leave it out"
        )
        click.echo(f"no state database in {db.path.parent}: {without}", err=True)
        db = None
    if db is None:
        yield None
        return
    try:
        with db.read() as tx:
            schema = schema_version(tx)
        if schema.current != schema.newest:
            remedy = (
                "start the daemon once, which upgrades it"
                if schema.known
                else "use the version that wrote it"
            )
            raise DatabaseUnavailable(
                f"{db.name} has {f'schema {schema.current}' if schema.current else 'no schema yet'}, this"
                f" backfilld needs {schema.newest}: {remedy}, or leave --state-dir out"
            )
        yield db
    finally:
        db.close()


def _as_json(report: Validation, planned_steps: Plan | None, comparison: Comparison | None) -> dict[str, Any]:
    """The report, with plan and comparison as further keys."""
    document = reports.Validation.plain(report)
    if planned_steps:
        document["plan"] = plans.Plan.plain(planned_steps)
    if comparison:
        document["comparison"] = plans.Comparison.plain(comparison)
    return document
