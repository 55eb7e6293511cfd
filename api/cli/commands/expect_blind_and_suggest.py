"""`backfilld expect`: what the rules would not see, and which rules would see more."""

from __future__ import annotations

import time

import click

from backfilld.api.cli import show_expect_reports
from backfilld.api.cli.output import example, json_option, print_json, print_lines, spinner
from backfilld.api.cli.report_range import ReportRange, opened_warehouse, range_arguments
from backfilld.api.schemas import data_quality_reports
from backfilld.daemon.adapters import load_pipeline
from backfilld.daemon.reports import blindness_to_simulated_damage, expectation_suggestions


@click.group(epilog=example("expect blind 2024-01-01 2024-03-31", "expect suggest 2023-10-24 2024-03-31"))
def expect() -> None:
    """Show what the rules miss, and propose rules."""


@expect.command(epilog=example("expect blind 2024-01-01 2024-03-31 --fail-above 0.2"))
@range_arguments
@click.option(
    "--fail-above",
    type=click.FloatRange(0, 1),
    help="Exit with 1 if more than this share of damages passes, for any processor.",
)
@json_option
def blind(scope: ReportRange, fail_above: float | None, as_json: bool) -> None:
    """Show how much damage the rules would not see.

    Nothing is changed: the figures of complete dates are damaged in memory, and judged.
    """
    pipeline = load_pipeline(scope.path)
    with opened_warehouse(pipeline) as warehouse, spinner("counting rows"):
        result = blindness_to_simulated_damage.blindness(
            pipeline, warehouse, scope.start, scope.end, now=time.time()
        )
    if as_json:
        print_json(data_quality_reports.Blindness.plain(result))
    else:
        print_lines(show_expect_reports.blindness(result))
    worst = max(blindness_to_simulated_damage.blind_ratios(result).values(), default=0.0)
    raise click.exceptions.Exit(1 if fail_above is not None and worst > fail_above else 0)


@expect.command(epilog=example("expect suggest 2023-10-24 2024-03-31"))
@range_arguments
@json_option
def suggest(scope: ReportRange, as_json: bool) -> None:
    """Propose rules from complete dates, as lines of the pipeline file.

    Each is tried on months that it was not learned from: at most 1 % of their dates would be false alarms.
    """
    pipeline = load_pipeline(scope.path)
    with opened_warehouse(pipeline) as warehouse, spinner("counting rows"):
        result = expectation_suggestions.suggest(pipeline, warehouse, scope.start, scope.end, now=time.time())
    if as_json:
        print_json(data_quality_reports.Suggestions.plain(result))
    else:
        print_lines(show_expect_reports.suggestions(result))
