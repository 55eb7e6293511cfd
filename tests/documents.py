"""The documents as data: their blocks of files and commands, with the output they show."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted(
    [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "examples").rglob("*.md"),
    ]
)

NOT_RUN = "<!-- not run -->"
"""Stands before a block of commands that no test can run."""

_BLOCK = re.compile(r"^(?P<before>[^\n]*)\n*^```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"`([\w./]+)`:$")


@dataclass(frozen=True, slots=True)
class File:
    """A file that the reader shall write."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Command:
    """A command that the reader shall type, and what it is said to print."""

    text: str
    output: str

    def prints(self, output: str) -> bool:
        """Whether it printed that: `...` stands for any part of a line, alone on a line for any lines."""
        lines = (_line(line) for line in self.output.splitlines())
        return re.fullmatch("".join(lines), output) is not None


def steps(document: str) -> Iterator[File | Command]:
    """What a document tells its reader to do, in its order."""
    for block in _BLOCK.finditer(document):
        if block["kind"] == "console" and block["before"] != NOT_RUN:
            yield from _commands(block["text"])
        elif named := _FILE.search(block["before"]):
            yield File(named[1], block["text"])


def _commands(block: str) -> Iterator[Command]:
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        first, *lines = part.splitlines()
        more = [line[2:] for line in lines if line.startswith("> ")]
        yield Command("\n".join([first, *more]), "\n".join(lines[len(more) :]))


def _line(line: str) -> str:
    """The pattern of one line of output."""
    if line == "...":
        return r"(?:[^\n]*\n)*?"
    return "[^\n]*".join(re.escape(part) for part in line.split("...")) + r"\n"
