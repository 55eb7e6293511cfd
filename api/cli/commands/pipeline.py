"""`backfilld pipeline check`: is the pipeline file good, and what does it say?"""

from __future__ import annotations

import os
from pathlib import Path

import click

from backfilld.api.cli.output import json_option, print_json
from backfilld.daemon.adapters import load_pipeline
from backfilld.state.pipeline.loading import PipelineError
from backfilld.state.pipeline.validation import warnings
from backfilld.state.rules.machine import Machine

pipeline_option = click.option("--pipeline", "path", help="The pipeline file; else BACKFILLD_PIPELINE.")


def chosen_pipeline(path: str | None) -> Path:
    """The pipeline file that a verb is about.

    Raises:
        click.UsageError: none is named.
    """
    chosen = path or os.environ.get("BACKFILLD_PIPELINE")
    if not chosen:
        raise click.UsageError("give --pipeline FILE or set BACKFILLD_PIPELINE")
    return Path(chosen)


@click.group()
def pipeline() -> None:
    """Look at a pipeline file."""


@pipeline.command()
@pipeline_option
@json_option
def check(path: str | None, as_json: bool) -> None:
    """Check the file, and print the states and their diagram."""
    try:
        loaded = load_pipeline(chosen_pipeline(path))
    except PipelineError as error:
        if as_json:
            print_json({"file": str(error.path), "problems": error.problems})
            raise click.exceptions.Exit(1) from error
        for problem in error.problems:
            click.echo(f"{error.path}: {problem}", err=True)
        raise click.exceptions.Exit(1) from error
    machine = Machine(loaded)
    if as_json:
        print_json(
            {
                "name": loaded.name,
                "states": machine.states,
                "diagram": machine.diagram(),
                "warnings": list(warnings(loaded)),
            }
        )
        return
    for warning in warnings(loaded):
        click.echo(f"{loaded.path}: warning: {warning}", err=True)
    click.echo(
        f"{loaded.name}: {len(loaded.processors)} processors in {len(loaded.phase)} phases, no problem found"
    )
    for stage in loaded.stages:
        click.echo(f"  {stage.name}: {', '.join(p.name for p in stage.processors)}")
    click.echo()
    click.echo(machine.diagram())
