"""`backfilld token new`: makes a token that the API will admit."""

from __future__ import annotations

import click

from backfilld.api.auth.tokens import Scope, mint
from backfilld.api.cli.output import json_option, print_json


@click.group()
def token() -> None:
    """Make tokens for the API."""


@token.command()
@click.argument("name")
@click.option(
    "--scope",
    type=click.Choice([scope.value for scope in Scope]),
    default=Scope.READ.value,
    show_default=True,
)
@json_option
def new(name: str, scope: str, as_json: bool) -> None:
    """Make a token for NAME. The token is shown once, on stderr; the output is its line for the file."""
    text, line = mint(name, Scope(scope))
    if as_json:
        print_json({"token": text, "line": line})
        return
    click.echo("the token, shown only now; clients read it from BACKFILLD_TOKEN:", err=True)
    click.echo(text, err=True)
    click.echo("its line for the token file, a hash that admits nobody by itself:", err=True)
    click.echo(line)
