"""The command line: one command, `backfilld`. Exit codes: 0 good, 1 found something wrong, 2 wrong use."""

from __future__ import annotations

import sys

import click

from api.cli import backup, demo, look, pipeline, report, serve, steer, token
from api.cli.client import ApiError
from daemon.config import SettingsError
from daemon.warehouse import WarehouseError
from state import __version__
from state.pipeline_file import PipelineError
from state.store.faults import DatabaseUnusable
from state.store.lock import InUse


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="backfilld")
def cli() -> None:
    """Backfill a date-partitioned data platform, believing the warehouse and never an exit code."""


for module in (serve, backup, steer, look, report, pipeline, token, demo):
    for verb in module.VERBS:
        cli.add_command(verb)


def main() -> None:
    """Run the command; what a person can mend is told in a line or two, without a traceback."""
    try:
        # Without click's own handling, a verb's Exit comes back as its code.
        sys.exit(cli(standalone_mode=False))
    except click.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (PipelineError, SettingsError, DatabaseUnusable, InUse) as error:
        click.echo(f"backfilld: {error}", err=True)
        sys.exit(2)
    except WarehouseError as error:
        click.echo(f"backfilld: the warehouse could not be asked: {error}", err=True)
        sys.exit(1)
    except ApiError as error:
        click.echo(f"backfilld: {error}", err=True)
        sys.exit(1 if error.status is None or error.status >= 500 or error.status in (404, 409) else 2)
