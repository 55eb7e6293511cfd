"""Processes of Python programs that begin with their modules imported, at a third of the cost.

They are processes like any other, which can be killed, suspended and waited for. What an interpreter does
before the first line of the program is missing, and their command line is that of the fork server: a test of
either starts an interpreter.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

PRELOADED = "tests.preloaded"
"""The module that imports what most of the processes import."""


class ForkedProcess:
    """`python -m MODULE ARGUMENTS`, with the part of `subprocess.Popen` that tests use."""

    def __init__(
        self,
        words: Sequence[str],
        environment: Mapping[str, str],
        output: Path,
        directory: Path | None = None,
    ) -> None:
        """`words` follow `python -m`; stdout and stderr are appended to the file `output`.

        It runs in `directory`, or in that of the test.
        """
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([PRELOADED])
        arguments = ([*words], {**environment}, str(output), str(directory or Path.cwd()))
        self._process = context.Process(target=_run, args=arguments)
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end, and return the exit code.

        Raises:
            subprocess.TimeoutExpired: it has not ended within `timeout` seconds.
        """
        self._process.join(timeout)
        if (code := self.poll()) is None:
            raise subprocess.TimeoutExpired("a forked process", timeout or 0.0)
        return code

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to the process, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)


def _run(words: list[str], environment: dict[str, str], output: str, directory: str) -> None:
    """Become the process: its input and output, environment, directory, arguments and program."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    written = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for file, number in ((nothing, 0), (written, 1), (written, 2)):
        os.dup2(file, number)
    os.close(nothing)
    os.close(written)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(directory)
    sys.argv = [*words]
    runpy.run_module(words[0], run_name="__main__", alter_sys=True)
