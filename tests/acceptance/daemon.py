"""A real daemon as a process, on the demo's lake, steered over HTTP."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import requests

from backfilld.api.cli.client import ApiError, Client
from backfilld.demo import environment
from tests.fork_server import ForkedProcess
from tests.ports import free_port
from tests.timeouts import PATIENCE

T = TypeVar("T")

PROGRAM = ("-m", "backfilld")

PATIENT = {'timeout = "60s"': 'timeout = "15m"', 'idle_timeout = "20s"': 'idle_timeout = "5m"'}
"""No job of the demo is ended for its time, however slow the machine is."""

FEW = (
    "nbac_team_boxscore",
    "team_defense_game_summary",
    "team_offense_game_summary",
    "team_defense_zone_analysis",
)
"""Some of each phase, which read each other: every job is a process, and a test rarely needs all fourteen."""
ONE_OF_EACH = ("nbac_team_boxscore", "team_offense_game_summary", "team_defense_zone_analysis")
"""A processor of each phase, for dates in bootstrap: the last of them reads what is missing here."""


class Daemon:
    """Starts, kills and asks one daemon; its state directory outlives each process."""

    def __init__(
        self,
        folder: Path,
        pace: str = "0",
        *,
        bigquery: str = "",
        options: tuple[str, ...] = (),
        database: str = "",
    ) -> None:
        self.pipeline = environment.prepare(folder, pace=pace, bigquery=bigquery)
        self.folder = folder
        self.lake = folder / "lake"
        self.state = folder / "state"
        self.options = options
        self.before: tuple[str, ...] = ()
        """Words before its command line, of a program that executes it."""
        self.program: tuple[str, ...] = PROGRAM
        self.forked = True
        """Whether its interpreter may be that of the fork server, with the product imported."""
        self.port = free_port()
        self.client = Client(f"http://127.0.0.1:{self.port}")
        self.process: subprocess.Popen[bytes] | ForkedProcess | None = None
        self.more_environment: dict[str, str] = {"BACKFILLD_DATABASE": database} if database else {}
        self.database = database or f"sqlite:///{self.state / 'state.db'}"

    def keep(self, processors: Collection[str]) -> None:
        """Leave these processors alone in its pipeline file."""
        self.pipeline.write_text(with_processors(self.pipeline.read_text(), processors))

    def start(self) -> None:
        """Start it and wait until it is ready."""
        self.launch()
        self.wait_for(self._ready, "ready")

    def launch(self) -> None:
        """Start it, and wait for nothing."""
        self.process = self._started(self.folder / "daemon.log", *self.before)

    def _started(self, output: Path, *before: str) -> subprocess.Popen[bytes] | ForkedProcess:
        """A process of its command line, forked where that makes no difference."""
        if self.forked and not before and self.program == PROGRAM:
            return ForkedProcess(self.words[2:], self.environment, output)
        with output.open("ab") as file:
            return subprocess.Popen([*before, *self.words], stdout=file, stderr=file, env=self.environment)

    @property
    def words(self) -> list[str]:
        """The command line that starts it."""
        serve = ["serve", "--pipeline", str(self.pipeline), "--state-dir", str(self.state), *self.options]
        return [sys.executable, *self.program, *serve, "--listen", f"127.0.0.1:{self.port}"]

    @property
    def environment(self) -> dict[str, str]:
        """Ours, without settings of another daemon."""
        ours = {name: text for name, text in os.environ.items() if not name.startswith("BACKFILLD_")}
        return {**ours, "PYTHONFAULTHANDLER": "1", **self.more_environment}

    def refusal(self, *before: str) -> str:
        """What it says when it cannot start: a line or two with the remedy, and exit code 1 or 2."""
        output = self.folder / "refusal.log"
        output.unlink(missing_ok=True)
        code, text = self._started(output, *before).wait(), output.read_text()
        assert code in (1, 2), text
        assert "Traceback" not in text, text
        return text

    def ready(self) -> str:
        """What /readyz says, well or not."""
        return requests.get(f"http://127.0.0.1:{self.port}/readyz", timeout=PATIENCE).text

    def _ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log()[-3000:]
        try:
            self.client.text("/readyz")
        except ApiError:
            return False
        return True

    def log(self) -> str:
        """What the daemon has written so far."""
        return (self.folder / "daemon.log").read_text(errors="replace")

    def wait_for(self, condition: Callable[[], T], what: str) -> T:
        """Poll until something is true and return it, or fail saying what was not.

        The longer it takes, the rarer are the polls, which keep both processes busy.
        """
        begin = time.monotonic()
        end = begin + PATIENCE
        while not (found := condition()):
            assert time.monotonic() < end, f"not {what} within {PATIENCE} s\n{self.log()[-3000:]}"
            time.sleep(min(0.05 + (time.monotonic() - begin) / 20, 0.5))
        return found

    def enqueue(self, start: str, end: str, **options: object) -> int:
        """Enqueue a range and return the backfill's id."""
        return int(self.client.post("/v1/backfills", {"start": start, "end": end, **options})["id"])

    def status(self, number: int) -> str:
        """A backfill's status."""
        return str(self.client.get(f"/v1/backfills/{number}")["status"])

    def finish(self, number: int) -> None:
        """Wait until a backfill has ended."""
        self.wait_for(lambda: self.status(number) in ("finished", "cancelled"), f"finished: {number}")

    def outcomes(self, start: str, end: str) -> dict[str, str]:
        """The outcome of every date."""
        return {
            d["date"]: d["outcome"] or d["state"] for d in self.client.all("/v1/dates", start=start, end=end)
        }

    def signal(self, number: signal.Signals) -> int:
        """Send a signal and wait for the end."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.ended()

    def ended(self) -> int:
        """Wait for the end; a daemon that does not come to it tells where its threads are."""
        assert self.process is not None
        try:
            return self.process.wait(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGABRT)
            self.process.wait()
            raise AssertionError(f"it does not end\n{self.log()[-6000:]}") from None


@contextlib.contextmanager
def daemon(
    folder: Path,
    pace: str = "0",
    *,
    bigquery: str = "",
    changes: Mapping[str, str] | None = None,
    processors: Collection[str] = (),
    options: tuple[str, ...] = (),
    database: str = "",
    start: bool = True,
) -> Iterator[Daemon]:
    """A daemon, started unless told otherwise, ended with the context; so are jobs that it left behind.

    `changes` are texts of the pipeline file, and what stands in their place; `processors` are those that
    stay in it, and all do if none is named; `options` go to `serve`; `database` is where the state is, if
    not in a file of the state directory.
    """
    one = Daemon(folder, pace, bigquery=bigquery, options=options, database=database)
    for old, new in {**PATIENT, **(changes or {})}.items():
        one.pipeline.write_text(one.pipeline.read_text().replace(old, new))
    if processors:
        one.keep(processors)
    try:
        if start:
            one.start()
        yield one
    finally:
        if one.process is not None and one.process.poll() is None:
            one.signal(signal.SIGKILL)
        for number in jobs_alive(folder):
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)


def with_processors(text: str, names: Collection[str]) -> str:
    """A pipeline file with these processors alone, and without phases that have none of them."""
    head, *phases = re.split(r"(?m)^(?=\[\[phase\]\])", text)
    kept = [head]
    for phase in phases:
        table, *processors = re.split(r"(?m)^(?=\[\[phase\.processor\]\])", phase)
        if some := [one for one in processors if re.findall(r'(?m)^name = "(.*)"', one)[0] in names]:
            kept += [table, *some]
    return "".join(kept)


def jobs_alive(folder: Path) -> list[int]:
    """Processes of jobs that work on this folder's lake, grandchildren included."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            words = (entry / "environ").read_bytes()
            here = (entry / "cwd").resolve() == folder.resolve()
            zombie = (entry / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
        except OSError:
            continue
        if b"BACKFILLD_ATTEMPT=" in words and here and not zombie:
            found.append(int(entry.name))
    return found
