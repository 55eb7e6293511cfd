"""The command line in this process: runs a command, returns exit code and output."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from backfilld.api.cli import watch_loop
from backfilld.api.cli.main import main
from tests.integration.api_world import Api, listening


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    def rows(self, *words: str) -> list[str]:
        """The lines that contain all the words, with single spaces."""
        lines = (" ".join(line.split()) for line in self.out.splitlines())
        return [line for line in lines if all(word in line for word in words)]


class CommandLine:
    """Runs `backfilld WORDS`."""

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
        printed = self._capsys.readouterr()
        return Ended(code, printed.out, printed.err)


@contextmanager
def beside(
    api: Api, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[CommandLine]:
    """The command line and the API of a simulated world, which makes a step whenever a command waits."""
    monkeypatch.setattr(watch_loop.time, "sleep", lambda seconds: api.world.step())
    with listening(api.app) as url:
        monkeypatch.setenv("BACKFILLD_URL", url)
        yield CommandLine(monkeypatch, capsys)
