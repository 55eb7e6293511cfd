"""`backfilld token new`: make a token for the API."""

from __future__ import annotations

import click

from backfilld.api.auth.tokens import Scope, mint
from backfilld.api.cli.output import example, json_option, print_json


@click.group(epilog=example("token new grafana --scope read"))
def token() -> None:
    """Make tokens for the API."""


@token.command(epilog=example("token new grafana --scope read"))
@click.argument("name")
@click.option(
    "--scope",
    type=click.Choice([scope.value for scope in Scope]),
    default=Scope.READ.value,
    show_default=True,
    help="What the token permits.",
)
@json_option
def new(name: str, scope: str, as_json: bool) -> None:
    """Make a token for NAME.

    The token is shown once, on stderr. The output is its line for the token file.
    """
    text, line = mint(name, Scope(scope))
    if as_json:
        print_json({"token": text, "line": line})
        return
    click.echo("the token, shown only now; clients read it from BACKFILLD_TOKEN:", err=True)
    click.echo(text, err=True)
    click.echo("its line for the token file; a hash, which admits no client by itself:", err=True)
    click.echo(line)
