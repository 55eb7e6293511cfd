"""`backfilld validate`: which data exists, and what would run. It needs no daemon."""

from __future__ import annotations

import datetime as dt
import time
from typing import TYPE_CHECKING

import click

from backfilld.api.cli import show_data_completeness
from backfilld.api.cli.argument_types import DATE
from backfilld.api.cli.output import example, json_option, print_json, print_lines, spinner
from backfilld.api.cli.plan_options import RequestedRun, request_options
from backfilld.api.cli.report_range import (
    ReportRange,
    opened_warehouse,
    ordered,
    range_arguments,
    state_option,
)
from backfilld.api.schemas import data_quality_reports
from backfilld.daemon.adapters import load_pipeline
from backfilld.daemon.reports.data_completeness import Validation, validation
from backfilld.daemon.reports.plan.selection_and_force_options import RequestOptions
from backfilld.daemon.reports.recorded_state_model import KnownState
from backfilld.daemon.warehouses.adapter import DescribedWarehouse
from backfilld.state.pipeline.pipeline import Pipeline

if TYPE_CHECKING:
    from backfilld.api.cli.plan_and_sources_comparison import ValidationPlan


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
    of a daemon, and its measured durations. Exit codes: 0 every gate would open, also by waivers; 1 one would
    not, or there are warnings.
    """
    tested = _test_window(window, scope, compared=compared)
    pipeline = load_pipeline(scope.path)
    options = requested.options(pipeline) if planned or requested.stated else None
    known = _known_state(state_dir, scope, pipeline)
    with opened_warehouse(pipeline) as warehouse, spinner("querying the warehouse"):
        report = validation(
            pipeline,
            warehouse,
            scope.start,
            scope.end,
            now=time.time(),
            known=known.checks,
            failed=known.failed,
        )
        plans = _plans(report, pipeline, warehouse, known, options=options, compared=compared, window=tested)
    if as_json:
        print_json({**data_quality_reports.Validation.plain(report), **(plans.plain() if plans else {})})
    else:
        print_lines(show_data_completeness.lines(report, per_date=per_date))
        print_lines(plans.lines() if plans else ())
    raise click.exceptions.Exit(0 if report.ready and not report.warnings else 1)


def _known_state(state_dir: str | None, scope: ReportRange, pipeline: Pipeline) -> KnownState:
    """What the state database in a directory says; nothing without a directory."""
    if not state_dir:
        return KnownState()
    from backfilld.api.cli.state_reader import read_state  # noqa: PLC0415  others need no database

    return read_state(state_dir, pipeline, scope.start, scope.end)


def _plans(
    report: Validation,
    pipeline: Pipeline,
    warehouse: DescribedWarehouse,
    known: KnownState,
    *,
    options: RequestOptions | None,
    compared: bool,
    window: tuple[dt.date, dt.date] | None,
) -> ValidationPlan | None:
    """What would run, where that was asked for."""
    if options is None and not compared:
        return None
    from backfilld.api.cli.plan_and_sources_comparison import validation_plan  # noqa: PLC0415  others need no engine

    return validation_plan(
        report, pipeline, warehouse, known, options=options, compared=compared, window=window
    )


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
