"""A daemon killed with `kill -9` while 8 jobs run: how soon the next one launches something new.

python -m bench.recovery [DATES ...]
"""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.options_and_machine_load import conditions, parser
from bench.pipeline_file import SLOTS, toml


def measure(number: int) -> tuple[float, float]:
    """Seconds from the start of the process until recovery is over, and until its first launch."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "pipeline.toml").write_text(
            toml(["sh", "-c", "echo begun; exec sleep 3600"], writers=SLOTS, timeout="9h", idle_timeout="9h")
        )
        database = folder / "state" / "state.db"
        try:
            with _started(name, number):
                _wait(lambda: sum(log.stat().st_size > 0 for log in folder.rglob("*.log")) == SLOTS)
            started = time.perf_counter()
            with _started(name, number):
                ready = time.perf_counter() - started
                known = set(_running(database))
                os.killpg(next(iter(known))[1], signal.SIGKILL)
                ended = time.perf_counter()
                _wait(lambda: bool(set(_running(database)) - known), pause=0.002)
                launched = time.perf_counter() - ended
        finally:
            for _, group in _running(database):
                with contextlib.suppress(ProcessLookupError):  # what had not begun died with its daemon
                    os.killpg(group, signal.SIGKILL)
    return ready, launched


@contextlib.contextmanager
def _started(folder: str, number: int) -> Iterator[None]:
    """A daemon that is ready, until it is killed with `kill -9`; its jobs live on."""
    command = [sys.executable, "-m", "bench.headless_daemon", folder, str(number)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as daemon:
        try:
            if daemon.stdout is None or daemon.stdout.readline() != b"ready\n":
                raise RuntimeError("the daemon did not start")
            yield
        finally:
            daemon.kill()


def _running(database: Path) -> list[tuple[int, int]]:
    """Attempts under way with their process groups."""
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    query = "SELECT id, json_extract(handle, '$.pid') FROM attempts WHERE status = 'running' AND handle <> ''"
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def _wait(done: Callable[[], bool], pause: float = 0.1) -> None:
    deadline = time.monotonic() + 600
    while not done():
        if time.monotonic() > deadline:
            raise TimeoutError("it does not come to that")
        time.sleep(pause)


def main() -> None:
    """Print the table."""
    options = parser(__doc__)
    options.add_argument("dates", nargs="*", type=int, default=[1000, 100000])
    chosen = options.parse_args()
    print(f"{conditions()}; seconds, {SLOTS} jobs adopted")
    print("  dates  start to ready  kill of a job to next launch")
    for number in chosen.dates:
        ready, launched = measure(number)
        print(f"{number:>7} {ready:>15.2f} {launched:>29.3f}", flush=True)


if __name__ == "__main__":
    main()
