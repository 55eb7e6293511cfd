"""How an error ends the command line: what is printed, and the exit code."""

from __future__ import annotations

import click

from backfilld.api.cli.client import ApiError
from backfilld.api.cli.logging_config import error_lines
from backfilld.api.cli.output import sanitize
from backfilld.api.cli.standard_streams import OutputError
from backfilld.state.base_errors import BackfilldError, UserError


def print_error(error: BackfilldError) -> int:
    """Print an error that a person can fix, without a traceback. Returns the exit code.

    Raises:
        BackfilldError: it is another error: a mistake of the program.
    """
    if isinstance(error, UserError):
        text, code = "\n".join(filter(None, [str(error), error.hint])), error.exit_code
    elif isinstance(error, ApiError):
        failed = error.status is None or error.status >= 500 or error.status in (404, 409)
        text, code = str(error), 1 if failed else 2
    elif isinstance(error, OutputError):
        text, code = str(error), 1
    else:
        text, code = f"the warehouse could not be queried: {_warehouse_error(error)}", 1
    # The text may quote a foreign one, whose control characters are replaced.
    click.echo(error_lines(sanitize(f"backfilld: {text}")), err=True)
    return code


def _warehouse_error(error: BackfilldError) -> BackfilldError:
    from backfilld.daemon.warehouses.adapter import WarehouseError  # noqa: PLC0415  imports all of the pipeline

    if not isinstance(error, WarehouseError):
        raise error
    return error
