"""The verbs of the command line, as `docs/reference/command-line.md` lists them."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import click

from backfilld.api.cli.main import cli


def verbs() -> str:
    """Every verb with its options. Its arguments are told by its first line and its help."""
    return "\n".join(_verb(command, name) for name, command in sorted(_commands(cli, "backfilld")))


def _commands(group: click.Group, path: str) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from _commands(command, f"{path} {name}")
        elif not command.hidden:
            yield f"{path} {name}", command


def _verb(command: click.Command, name: str) -> str:
    context = click.Context(command)
    words = [word for word in command.collect_usage_pieces(context) if word != "[OPTIONS]"]
    about = " ".join(inspect.cleandoc(command.help or "").split())
    options_of = [param for param in command.params if isinstance(param, click.Option)]
    options = [record for param in options_of if (record := param.get_help_record(context))]
    lines = [f"- `{option}`: {text}" if text else f"- `{option}`" for option, text in options]
    examples = [line.strip() for line in (command.epilog or "").splitlines() if line.startswith("  ")]
    shown = ["```console", *(f"$ {line}" for line in examples), "```", ""] if examples else []
    return "\n".join([f"### {' '.join([name, *words])}", about, "", *lines, "", *shown])
