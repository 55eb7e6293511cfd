"""The command line: one command, `backfilld`. Exit codes: 0 good, 1 found something wrong, 2 wrong use."""

from __future__ import annotations

import sys
from importlib import import_module

import click

from backfilld import __version__
from backfilld.api.cli.client import ApiError
from backfilld.api.cli.output import sanitize
from backfilld.daemon.warehouses.adapter import WarehouseError
from backfilld.state.errors import UserError

MODULES = {
    "serve": ("serve",),
    "backup": ("backup",),
    "control": ("enqueue", "pause", "resume", "cancel", "retry", "accept", "release"),
    "inspect": ("status", "watch", "logs", "audit"),
    "report": ("validate", "preflight", "quality"),
    "pipeline": ("pipeline",),
    "token": ("token",),
    "demo": ("demo",),
}
"""Where each verb is."""


class Verbs(click.Group):
    """Imports a verb's module when the verb is called for, so that a look waits for no warehouse's client."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All verbs, in the order of the alphabet."""
        del ctx
        return sorted(verb for verbs in MODULES.values() for verb in verbs)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The verb of that name; None when there is none."""
        del ctx
        for name, verbs in MODULES.items():
            if cmd_name in verbs:
                found: click.Command = getattr(import_module(f"backfilld.api.cli.commands.{name}"), cmd_name)
                return found
        return None


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="backfilld")
def cli() -> None:
    """Backfill a date-partitioned data platform, believing the warehouse and never an exit code."""


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
    except UserError as error:
        _tell("\n".join(filter(None, [f"backfilld: {error}", error.hint])))
        sys.exit(2)
    except WarehouseError as error:
        _tell(f"backfilld: the warehouse could not be asked: {error}")
        sys.exit(1)
    except ApiError as error:
        _tell(f"backfilld: {error}")
        sys.exit(1 if error.status is None or error.status >= 500 or error.status in (404, 409) else 2)


def _tell(error: str) -> None:
    """Somebody else's words may be in it."""
    click.echo(sanitize(error), err=True)
