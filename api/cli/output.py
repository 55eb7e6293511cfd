"""How results are printed: bars and colours on a terminal, plain text elsewhere, JSON for programs."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

console = Console(highlight=False, soft_wrap=True, markup=False)
"""Without markup: the text of a job or of a warehouse may contain brackets."""

_SIGN_COLOURS: Mapping[str, str] = {
    "✓": "green",
    "–": "dim",
    "⚠": "yellow",
    "○": "yellow",
    "✗": "red",
    "▷": "cyan",
    "△": "magenta",
}
"""The colour of each sign of a verdict."""
_LEAST_LAST = 30
"""Columns that the last column of a table needs beside the others."""
_HANG = 4
"""Columns by which the continuation of a line is indented."""
_UNPRINTABLE = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Categories of characters that move the cursor, are invisible, or change the direction of writing."""
STATE_COLOURS: Mapping[str, str] = {"done": "green", "failed": "red", "pending": "dim"}
_Command = TypeVar("_Command", bound=Callable[..., Any])


def example(*commands: str) -> str:
    """The epilog of a verb's help: commands to copy, one a line."""
    title = "Example:" if len(commands) == 1 else "Examples:"
    return "\n".join(["\b", title, *(f"  backfilld {command}" for command in commands)])


def json_option(command: _Command) -> _Command:
    """`--json` on a verb."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")(command)


def url_option(command: _Command) -> _Command:
    """`--url` on a verb that talks to a daemon."""
    return click.option("--url", help="URL of the daemon; else BACKFILLD_URL, else the default port.")(
        command
    )


def animated() -> bool:
    """Whether stdout is a terminal that can redraw a picture in place."""
    return console.is_terminal and not console.is_dumb_terminal


def print_json(value: object) -> None:
    """Print a value as one JSON document."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2))


def print_answer(answer: object, sentence: str, as_json: bool) -> None:
    """Print the answer of the daemon as JSON, or what it means as a sentence."""
    if as_json:
        print_json(answer)
    else:
        click.echo(sentence)


def print_lines(lines: Iterable[Text]) -> None:
    """Print lines unwrapped, so that a command in them can be copied; with colours on a terminal."""
    for line in lines:
        line.plain = sanitize(line.plain)
        console.print(line)


def print_wrapped(line: Text) -> None:
    """Print a line; on a terminal its continuation is indented below it, elsewhere it is not wrapped."""
    if not console.is_terminal:
        console.print(line)
        return
    for part in line.split("\n", allow_blank=True):
        hang = len(part.plain) - len(part.plain.lstrip()) + _HANG
        first, *others = part.wrap(console, max(console.width - hang, _HANG)) or [part]
        console.print(first)
        for other in others:
            console.print(Text(" " * hang).append_text(other))


def print_json_line(value: object) -> None:
    """Print a value as JSON on one line, one of several documents."""
    click.echo(json.dumps(value, ensure_ascii=False))


@contextmanager
def spinner(task: str) -> Iterator[Callable[[str], None]]:
    """Show on a terminal that a task is under way. Yields a function that shows its current step."""
    with Console(stderr=True).status(f"{task} ...") as status:
        yield lambda step: status.update(f"{task}: {step} ...")


def sign(symbol: str) -> tuple[str, str]:
    """The sign of a verdict with its colour, as a part of a line."""
    return symbol, _SIGN_COLOURS[symbol]


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str | Text]]) -> None:
    """Print a table; elsewhere than on a terminal as aligned columns, unwrapped.

    On a terminal the last column alone is wrapped, or goes below the others where it has too little room.
    """
    if not console.is_terminal:
        _print_aligned(title, [columns, *([str(cell) for cell in row] for row in rows)])
        return
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)][:-1]
    if console.width - sum(width + 2 for width in widths) < _LEAST_LAST:
        _print_stacked(title, [columns, *rows], widths)
        return
    fitted = Table(title=title or None, title_justify="left", box=None, header_style="bold", pad_edge=False)
    for column in columns:
        fitted.add_column(column, no_wrap=column != columns[-1], overflow="fold")
    for row in rows:
        fitted.add_row(*row)
    console.print(fitted)


def _print_stacked(title: str, rows: Sequence[Sequence[str | Text]], widths: Sequence[int]) -> None:
    """Print each row with its last cell below the others."""
    if title:
        console.print(Text(title, style="italic"))
    for number, row in enumerate(rows):
        style = "" if number else "bold"
        cells = [
            Text.assemble(cell, " " * (width - len(cell))) for cell, width in zip(row, widths, strict=False)
        ]
        print_wrapped(Text("  ", style).join(cells))
        print_wrapped(Text.assemble("  ", row[-1], style=style))


def _print_aligned(title: str, rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    if title:
        click.echo(title)
    for row in rows:
        cells = (f"{cell:{width}}" for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


def sanitize_line(text: str) -> str:
    """A foreign text on one line: no control character of it reaches a terminal."""
    return sanitize(text, keep="").strip()


def sanitize(text: str, keep: str = "\n\t") -> str:
    """The text with a blank for each control or invisible character that is not in `keep`."""
    return "".join(c if c in keep or unicodedata.category(c) not in _UNPRINTABLE else " " for c in text)


def coloured(state: str) -> Text:
    """A state in its colour."""
    return Text(state, style=STATE_COLOURS.get(state, "yellow"))


def counts(values: Mapping[str, int]) -> str:
    """`13 complete, 7 bootstrap`, the most frequent first."""
    ordered = sorted(values.items(), key=lambda item: -item[1])
    return ", ".join(f"{n} {name}" for name, n in ordered if n) or "none"
