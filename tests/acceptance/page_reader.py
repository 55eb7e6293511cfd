"""A reader of a page: an empty directory, a terminal, and what the commands of the page print there."""

from __future__ import annotations

import io
import os
import pty
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import requests

from tests.documents import Command, File, steps
from tests.ports import free_port
from tests.timeouts import PATIENCE

CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")
"""Colours, and movements of the cursor."""


class Reader:
    """A reader with backfilld on the path, an empty directory and a free port."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        self.url = f"http://127.0.0.1:{free_port()}"
        self.daemon: subprocess.Popen[bytes] | None = None
        ours = {name: text for name, text in os.environ.items() if not name.startswith("BACKFILLD_")}
        path = f"{Path(sys.executable).parent}{os.pathsep}{ours['PATH']}"
        address = {"BACKFILLD_LISTEN": self.url.removeprefix("http://"), "BACKFILLD_URL": self.url}
        terminal = {"TERM": "xterm", "COLUMNS": "120", "PAGER": "cat"}
        self.environment = {**ours, **address, **terminal, "PATH": path, **environment}

    def follow(self, page: str) -> None:
        """Do what the page says, step by step."""
        for step in steps(page):
            if isinstance(step, File):
                self.write(step)
            else:
                self.type(step)

    def write(self, file: File) -> None:
        """Write a file as the page has it."""
        (self.folder / file.name).write_text(file.text, encoding="utf-8")

    def type(self, command: Command) -> None:
        """Type a command, and look whether it prints what the page shows."""
        word, _, rest = command.text.partition(" ")
        if word == "export":
            self.environment.update(pair.split("=", 1) for pair in rest.split())
        elif command.text.startswith("backfilld serve"):
            self._serve(command.text)
        else:
            printed = self._run(command.text)
            shown = f"the page shows:\n{command.output}"
            assert command.prints(printed), f"{command.text}\n\nprints:\n{printed}\n{shown}"

    def leave(self) -> None:
        """End the daemon as Ctrl-C does."""
        if self.daemon is not None:
            self.daemon.send_signal(signal.SIGINT)
            assert self.daemon.wait(PATIENCE) == 0

    def _run(self, text: str) -> str:
        """What a command prints on a terminal, then its complaints; without colours."""
        ours, theirs = pty.openpty()
        with tempfile.TemporaryFile() as complaints:
            with open(theirs, "wb", buffering=0) as terminal:
                process = subprocess.Popen(
                    ["bash", "-c", text],
                    cwd=self.folder,
                    env=self.environment,
                    stdin=terminal,
                    stdout=terminal,
                    stderr=complaints,
                )
            with open(ours, "rb", buffering=0) as screen:
                printed = b"".join(iter(lambda: _read(screen), b""))
            process.wait(PATIENCE)
            complaints.seek(0)
            printed += complaints.read()
        return CONTROL.sub("", printed.decode())

    def _serve(self, text: str) -> None:
        with (self.folder / "daemon.log").open("wb") as log:
            self.daemon = subprocess.Popen(
                text.split(), cwd=self.folder, env=self.environment, stdout=log, stderr=log
            )
        end = time.monotonic() + PATIENCE
        while not self._ready():
            log_so_far = (self.folder / "daemon.log").read_text()
            assert self.daemon.poll() is None, log_so_far
            assert time.monotonic() < end, log_so_far
            time.sleep(0.1)

    def _ready(self) -> bool:
        try:
            return requests.get(f"{self.url}/readyz", timeout=PATIENCE).ok
        except requests.ConnectionError:
            return False


def _read(screen: io.RawIOBase) -> bytes:
    """The next bytes; none once the last process has closed the terminal, which Linux reports as an error."""
    try:
        return screen.read(1 << 16) or b""
    except OSError:
        return b""
