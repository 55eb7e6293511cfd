"""`backfilld warehouse`: check that the warehouse answers as the engine needs it."""

from __future__ import annotations

import click

from backfilld.api.cli import show_preflight
from backfilld.api.cli.output import example, json_option, print_json, print_lines, spinner
from backfilld.api.cli.report_range import ReportRange, range_arguments
from backfilld.api.schemas import data_quality_reports
from backfilld.daemon.adapters import load_pipeline
from backfilld.daemon.reports.warehouse_adapter_conformance import warehouse_check


@click.group(epilog=example("warehouse check 2021-10-19 2021-10-31"))
def warehouse() -> None:
    """Check that the warehouse answers as it should."""


@warehouse.command(epilog=example("warehouse check 2021-10-19 2021-10-31"))
@range_arguments
@json_option
def check(scope: ReportRange, as_json: bool) -> None:
    """Query a few dates in several ways, which must agree.

    They are up to five of START to END. It is the part of the adapters' test suite that only reads. Choose
    dates that have rows, and a time at which no job writes them. Exit codes: 0 good, 1 something differs, 2
    warnings.
    """
    pipeline = load_pipeline(scope.path)
    with spinner("querying the warehouse") as show_step:
        result = warehouse_check(pipeline, scope.start, scope.end, on_check=show_step)
    if as_json:
        print_json(data_quality_reports.Preflight.plain(result))
    else:
        print_lines(show_preflight.lines(result))
    raise click.exceptions.Exit(result.exit_code)
