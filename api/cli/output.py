"""How results are shown: tables and colours for terminals, plain lines and JSON for programs."""

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
"""Without markup: what a job or a warehouse said may have brackets in it."""

_SIGNS: Mapping[str, str] = {
    "✓": "green",
    "–": "dim",
    "⚠": "yellow",
    "○": "yellow",
    "✗": "red",
    "▷": "cyan",
    "△": "magenta",
}
"""The colour of each sign that operators know."""
_UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Categories of characters that move the cursor, hide, or turn the direction of writing."""
COLOURS: Mapping[str, str] = {"done": "green", "failed": "red", "pending": "dim"}
_Command = TypeVar("_Command", bound=Callable[..., Any])


def json_option(command: _Command) -> _Command:
    """`--json` on a verb."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")(command)


def url_option(command: _Command) -> _Command:
    """`--url` on a verb that talks to a daemon."""
    return click.option("--url", help="Where the daemon is; else BACKFILLD_URL, else the default port.")(
        command
    )


def animated() -> bool:
    """Whether what is shown can be drawn again in its place."""
    return console.is_terminal and not console.is_dumb_terminal


def print_json(value: object) -> None:
    """Print a value as JSON."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2))


def print_lines(lines: Iterable[Text]) -> None:
    """Print lines as they are, never wrapped, so that a command can be copied; with colours on a terminal."""
    for line in lines:
        line.plain = sanitize(line.plain)
        console.print(line)


@contextmanager
def spinner(what: str) -> Iterator[Callable[[str], None]]:
    """Show on a terminal that something is under way; what is yielded changes the words."""
    with Console(stderr=True).status(f"{what} ...") as status:
        yield lambda now: status.update(f"{what}: {now} ...")


def sign(symbol: str) -> tuple[str, str]:
    """One of the operators' signs in its colour, as a part of a line."""
    return symbol, _SIGNS[symbol]


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str | Text]]) -> None:
    """A table on a terminal; lines of tab-separated values elsewhere."""
    if not console.is_terminal:
        for row in rows:
            click.echo("\t".join(map(str, row)))
        return
    sanitize = Table(title=title or None, title_justify="left", box=None, header_style="bold", pad_edge=False)
    for column in columns:
        sanitize.add_column(column)
    for row in rows:
        sanitize.add_row(*row)
    console.print(sanitize)


def sanitize_line(text: str) -> str:
    """A text of somebody else's on one line: no control character of it reaches a terminal."""
    return sanitize(text, keep="").strip()


def sanitize(text: str, keep: str = "\n\t") -> str:
    """The text with a blank for every character that would not be seen, or worse, save those to keep."""
    return "".join(c if c in keep or unicodedata.category(c) not in _UNSEEN else " " for c in text)


def coloured(state: str) -> Text:
    """A state in its colour."""
    return Text(state, style=COLOURS.get(state, "yellow"))


def counts(values: Mapping[str, int]) -> str:
    """`13 complete, 7 bootstrap`, the most frequent first."""
    ordered = sorted(values.items(), key=lambda item: -item[1])
    return ", ".join(f"{n} {name}" for name, n in ordered if n) or "none"
