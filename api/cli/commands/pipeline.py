"""`backfilld pipeline`: check the pipeline file, draw its states."""

from __future__ import annotations

import os
from pathlib import Path

import click

from backfilld.api.cli.output import example, json_option, print_json
from backfilld.daemon.adapters import load_pipeline
from backfilld.daemon.preflight.open_file_and_process_limits import slot_warnings
from backfilld.daemon.warehouses.adapter import WarehouseError
from backfilld.daemon.warehouses.calendar_reader import read_calendar_file
from backfilld.state.formatting import pluralize
from backfilld.state.pipeline.loading import PipelineError
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.pipeline.semantic_validation import warnings
from backfilld.state.rules.state_machine import Machine

pipeline_option = click.option("--pipeline", "path", help="The pipeline file; else BACKFILLD_PIPELINE.")


def chosen_pipeline(path: str | None) -> Path:
    """The pipeline file of a verb.

    Raises:
        click.UsageError: neither the option nor the variable is set.
    """
    chosen = path or os.environ.get("BACKFILLD_PIPELINE")
    if not chosen:
        raise click.UsageError("give --pipeline FILE or set BACKFILLD_PIPELINE")
    return Path(chosen)


@click.group(epilog=example("pipeline check --pipeline my.toml", "pipeline diagram"))
def pipeline() -> None:
    """Check the pipeline file, or draw its states."""


def _read_calendar(pipeline: Pipeline) -> None:
    """Read the calendar's CSV file, if it is one.

    Raises:
        PipelineError: it is not there, or cannot be used.
    """
    if pipeline.calendar.file:
        try:
            read_calendar_file(pipeline.path.parent / pipeline.calendar.file)
        except WarehouseError as error:
            problem = str(error).removeprefix("calendar.file ")
            raise PipelineError(pipeline.path, [f"calendar.file: {problem}; {error.hint}"]) from error


@pipeline.command(epilog=example("pipeline check --pipeline my.toml"))
@pipeline_option
@json_option
def check(path: str | None, as_json: bool) -> None:
    """Report every mistake in the file, or print the states.

    Each mistake is named with its key and remedy.
    """
    try:
        loaded = load_pipeline(chosen_pipeline(path))
        _read_calendar(loaded)
    except PipelineError as error:
        if as_json:
            print_json({"file": str(error.path), "problems": error.problems})
            raise click.exceptions.Exit(1) from error
        for problem in error.problems:
            click.echo(f"{error.path}: {problem}", err=True)
        raise click.exceptions.Exit(1) from error
    missing = loaded.warehouse.place_problem(loaded.path.parent)
    found = [*([f"warehouse: {missing}"] if missing else []), *warnings(loaded), *slot_warnings(loaded)]
    if as_json:
        print_json({"name": loaded.name, "states": Machine(loaded).states, "warnings": found})
        return
    for warning in found:
        click.echo(f"{loaded.path}: warning: {warning}", err=True)
    size = f"{pluralize(len(loaded.processors), 'processor')} in {pluralize(len(loaded.phase), 'phase')}"
    verdict = f"no error, {pluralize(len(found), 'warning')}" if found else "no problem found"
    click.echo(f"{loaded.name}: {size}, {verdict}")
    for stage in loaded.stages:
        click.echo(f"  {stage.name}: {', '.join(p.name for p in stage.processors)}")


@pipeline.command(epilog=example("pipeline diagram --pipeline my.toml"))
@pipeline_option
@json_option
def diagram(path: str | None, as_json: bool) -> None:
    """Print the states and their transitions as a Mermaid diagram."""
    machine = Machine(load_pipeline(chosen_pipeline(path)))
    if as_json:
        print_json({"states": machine.states, "diagram": machine.diagram()})
    else:
        click.echo(machine.diagram())
