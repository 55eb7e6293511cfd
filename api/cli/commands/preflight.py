"""The verb preflight, whose checks need most of the program."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

import click

from backfilld.api.cli import show_preflight
from backfilld.api.cli.argument_types import DATE
from backfilld.api.cli.commands.pipeline import chosen_pipeline, pipeline_option
from backfilld.api.cli.output import example, json_option, print_json, print_lines, spinner
from backfilld.api.cli.report_range import ordered, state_option
from backfilld.api.schemas import data_quality_reports
from backfilld.daemon.preflight.checklist import preflight as run_preflight
from backfilld.daemon.preflight.checklist import with_sandbox
from backfilld.daemon.preflight.subprocesses import run_attached
from backfilld.daemon.read_service_unit import ServiceUnit


@click.command(epilog=example("preflight", "preflight 2021-10-19 2022-06-16 --quick"))
@click.argument("start", type=DATE, required=False)
@click.argument("end", type=DATE, required=False)
@pipeline_option
@state_option
@click.option("--quick", is_flag=True, help="Skip the dry runs of jobs and the platform's own checks.")
@click.option("--service", help="Check in the sandbox of the systemd service backfilld@NAME.")
@click.option("--in-sandbox", is_flag=True, hidden=True, help="With --service: already in it.")
@json_option
def preflight(
    start: str | None,
    end: str | None,
    path: str | None,
    state_dir: str | None,
    quick: bool,
    service: str | None,
    in_sandbox: bool,
    as_json: bool,
) -> None:
    """Check that a range of dates can start.

    With --service, as root under systemd, all checks run with the service's own properties. Without systemd
    its sandbox is judged by the settings of its unit.

    Without START it checks all seasons up to yesterday. Exit codes: 0 ready, 1 not ready, 2 ready with
    warnings.
    """
    first, last = ordered(start, end or start) if start else (None, None)
    unit = ServiceUnit.load(service) if service else None
    if unit is not None:
        if os.path.isdir("/run/systemd/system") and not in_sandbox:
            options = {"--pipeline": path, "--state-dir": state_dir, "--service": service}
            again = _preflight_again(start, end, options, quick=quick, as_json=as_json)
            raise click.exceptions.Exit(run_attached(unit.in_its_sandbox(again)))
        path = path or unit.environment().get("BACKFILLD_PIPELINE")
        state_dir = state_dir or unit.environment().get("BACKFILLD_STATE_DIR")
    with spinner("preflight") as show_step:
        result = run_preflight(
            chosen_pipeline(path),
            now=time.time(),
            start=first,
            end=last,
            state_dir=Path(state_dir) if state_dir else None,
            quick=quick,
            on_check=show_step,
        )
    if unit is not None:
        result = with_sandbox(result, chosen_pipeline(path), unit)
    if as_json:
        print_json(data_quality_reports.Preflight.plain(result))
    else:
        print_lines(show_preflight.lines(result))
    raise click.exceptions.Exit(result.exit_code)


def _preflight_again(
    start: str | None, end: str | None, options: Mapping[str, str | None], *, quick: bool, as_json: bool
) -> list[str]:
    """The same verb with these options, for a process in the sandbox."""
    given = [word for option, value in options.items() if value for word in (option, value)]
    flags = {"--quick": quick, "--json": as_json, "--in-sandbox": True}
    return ["preflight", *filter(None, (start, end)), *given, *(flag for flag in flags if flags[flag])]
