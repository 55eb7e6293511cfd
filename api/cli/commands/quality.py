"""`backfilld quality`: how many rows are below their quality standard. It needs no daemon."""

from __future__ import annotations

import time

import click

from backfilld.api.cli import show_quality
from backfilld.api.cli.output import example, json_option, print_json, print_lines, spinner
from backfilld.api.cli.report_range import ReportRange, opened_warehouse, range_arguments
from backfilld.api.schemas import data_quality_reports
from backfilld.daemon.adapters import load_pipeline
from backfilld.daemon.reports import quality as quality_reports


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
        print_json(data_quality_reports.Quality.plain(result))
    else:
        print_lines(show_quality.lines(result))
    raise click.exceptions.Exit(0 if result.good else 1)
