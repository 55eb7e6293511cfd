"""The command line: one command, `backfilld`. Exit codes: 0 good, 1 found something wrong, 2 wrong use."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module
from typing import NamedTuple

import click

from backfilld import __version__
from backfilld.api.cli.standard_streams import WITHOUT_READER, ReaderEnded, guard_streams, written_output
from backfilld.state.base_errors import BackfilldError
from backfilld.state.spelling_suggestions import did_you_mean


class Verb(NamedTuple):
    """Where a verb is, as `module:attribute` of the commands, and its line in the list of verbs."""

    path: str
    summary: str


GROUPS: Mapping[str, Mapping[str, Verb]] = {
    "Run": {
        "preflight": Verb("preflight:preflight", "Check that a range of dates can start."),
        "serve": Verb("serve:serve", "Run the daemon until SIGTERM."),
        "demo": Verb("demo:demo", "Run a small NBA platform, with three faults."),
    },
    "Requests": {
        "enqueue": Verb("enqueue:enqueue", "Request a backfill of START to END."),
        "pause": Verb("control:pause", "Start no more jobs of a backfill, or of all."),
        "resume": Verb("control:resume", "End the pause of a backfill, or of everything."),
        "cancel": Verb("control:cancel", "Cancel a backfill and stop its jobs."),
        "retry": Verb("retry_and_accept:retry", "Put ended dates back to pending."),
        "accept": Verb("retry_and_accept:accept", "Waive missing outputs of dates."),
        "hold": Verb("control:hold", "Hold a processor, a table or the warehouse."),
        "release": Verb("control:release", "Release a hold."),
        "mark-lost": Verb("mark_lost:mark_lost", "Declare attempts lost whose host is gone."),
    },
    "Inspect": {
        "status": Verb(
            "status_watch_and_list_dates:status", "Show the status of everything, or of one date."
        ),
        "watch": Verb("status_watch_and_list_dates:watch", "Follow everything, a season or a backfill."),
        "list": Verb("status_watch_and_list_dates:list_dates", "List dates by state, outcome or mark."),
        "logs": Verb("logs:logs", "Print the log of an attempt or check."),
        "audit": Verb("audit:audit", "Show who changed what, newest first."),
    },
    "Reports": {
        "validate": Verb("validate_data:validate", "Report which data exists, and what would run."),
        "quality": Verb("quality:quality", "Count the rows below their quality standard."),
        "expect": Verb("expect_blind_and_suggest:expect", "Show what the rules miss, and propose rules."),
    },
    "Setup": {
        "pipeline": Verb("pipeline:pipeline", "Check the pipeline file, or draw its states."),
        "warehouse": Verb(
            "warehouse_adapter_conformance:warehouse", "Check that the warehouse answers as it should."
        ),
        "token": Verb("token:token", "Make tokens for the API."),
        "backup": Verb("backup:backup", "Copy the state database to a file."),
    },
}
"""All verbs by group."""
VERBS: Mapping[str, Verb] = {name: verb for verbs in GROUPS.values() for name, verb in verbs.items()}
_WIDTH = max(map(len, VERBS)) + 2


class LazyGroup(click.Group):
    """Imports a verb's module when the verb runs: most verbs need no client of a warehouse."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All verbs in alphabetical order."""
        del ctx
        return sorted(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The verb of that name; None if there is none."""
        del ctx
        if cmd_name not in VERBS:
            return None
        module, _, attribute = VERBS[cmd_name].path.partition(":")
        command: click.Command = getattr(import_module(f"backfilld.api.cli.commands.{module}"), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The verb that the arguments name.

        Raises:
            click.UsageError: there is no such verb; the message suggests the nearest one.
        """
        name = args[0]
        if name not in VERBS and not name.startswith("-") and not ctx.resilient_parsing:
            suggestion = did_you_mean(name, VERBS)
            ctx.fail(f"No such command '{name}'. {suggestion[0].upper()}{suggestion[1:]}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The verbs by group, each with its summary. Imports none of them."""
        del ctx
        for title, verbs in GROUPS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(_WIDTH), verb.summary) for name, verb in verbs.items()])


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="`backfilld VERB --help` explains a verb, with an example.",
)
@click.version_option(__version__, prog_name="backfilld")
def cli() -> None:
    """Backfill a date-partitioned data platform, and verify every result in the warehouse."""


def main() -> None:
    """Run the command. An error that the user can fix is printed in a line or two, without a traceback."""
    guard_streams()
    sys.exit(_run())


def _run() -> int | None:
    """Run the command. Returns its exit code; None for 0."""
    try:
        with written_output():
            # Without click's own handling, a verb's Exit comes back as its code.
            code: int | None = cli(standalone_mode=False)
            return code
    except click.Abort:
        return 130
    except click.ClickException as error:
        error.show()
        return 2
    except ReaderEnded:
        return WITHOUT_READER
    except BackfilldError as error:
        from backfilld.api.cli.print_error import print_error  # noqa: PLC0415  `--help` needs none of its imports

        return print_error(error)
