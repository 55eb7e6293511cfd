"""The command line in this process: words in, exit code and output back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from backfilld.api.cli import follow
from backfilld.api.cli.main import main
from tests.integration.api_world import Api, listening


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    def rows(self, *words: str) -> list[str]:
        """The lines in which all the words stand, with single spaces."""
        lines = (" ".join(line.split()) for line in self.out.splitlines())
        return [line for line in lines if all(word in line for word in words)]


class CommandLine:
    """`backfilld WORDS`, about one pipeline file."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def __call__(self, *words: object) -> Ended:
        self._monkeypatch.setattr("sys.argv", ["backfilld", *map(str, words)])
        code = 0
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        told = self._capsys.readouterr()
        return Ended(code, told.out, told.err)


@contextmanager
def beside(
    api: Api, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[CommandLine]:
    """The command line beside a daemon, in whose world one thing happens whenever a command waits."""
    monkeypatch.setattr(follow.time, "sleep", lambda seconds: api.world.step())
    with listening(api.app) as url:
        monkeypatch.setenv("BACKFILLD_URL", url)
        yield CommandLine(monkeypatch, capsys)
