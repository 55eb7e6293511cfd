"""The most memory that a daemon takes while it admits complete dates, on a real lake of small files.

python -m bench.memory [DATES ...] [--processors N]
"""

from __future__ import annotations

import datetime as dt
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import requests

from bench.options_and_machine_load import conditions, parser
from bench.pipeline_file import JOBS, toml
from tests.ports import free_port

FIRST = dt.date(1950, 1, 1)
PER_REQUEST = 20_000
LINKS_PER_FILE = 50_000
"""A file system allows no more than about 65,000 names of one file."""


def write_lake(lake: Path, number: int, processors: int) -> None:
    """A partition with one small file for each date and table: links to a few files, which read the same."""
    count = 0
    for table in (f"phase2_{n}" for n in range(processors)):
        for day in range(number):
            if count % LINKS_PER_FILE == 0:
                source = lake.with_name(f"rows-{count}.parquet")
                duckdb.execute(f"COPY (SELECT range AS id FROM range(10)) TO '{source}' (FORMAT parquet)")
            partition = lake / "bench" / table / f"date={FIRST + dt.timedelta(days=day)}"
            partition.mkdir(parents=True)
            os.link(source, partition / "part-0.parquet")
            count += 1


@contextmanager
def served(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A daemon that is ready, ended with the context."""
    serve = [sys.executable, "-m", "backfilld", "serve", "--pipeline", str(folder / "pipeline.toml")]
    options = ["--state-dir", str(folder / "state"), "--listen", f"127.0.0.1:{port}"]
    with (folder / "log").open("wb") as log:
        daemon = subprocess.Popen([*serve, *options], stdout=log, stderr=log)
    try:
        while not _answers(f"http://127.0.0.1:{port}/readyz"):
            assert daemon.poll() is None, (folder / "log").read_text()
            time.sleep(0.1)
        yield daemon
    finally:
        daemon.terminate()
        daemon.wait()


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=60).ok
    except requests.ConnectionError:
        return False


def peak_mib(pid: int) -> int:
    """The most memory that the process has had, in MiB."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1]) // 1024


def measure(number: int, processors: int) -> str:
    """One row of the table."""
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name), free_port()
        text = toml(["false"], phases=(("phase2", "parallel", processors),))
        (folder / "pipeline.toml").write_text(text)
        write_lake(folder / "lake", number, processors)
        url, started = f"http://127.0.0.1:{port}/v1", time.perf_counter()
        with served(folder, port) as daemon:
            idle = peak_mib(daemon.pid)
            for first in range(0, number, PER_REQUEST):
                days = [
                    FIRST + dt.timedelta(days=day) for day in (first, min(first + PER_REQUEST, number) - 1)
                ]
                body = dict(zip(("start", "end"), map(str, days), strict=True))
                requests.post(f"{url}/backfills", json=body, timeout=600).raise_for_status()
            while requests.get(f"{url}/progress", timeout=600).json()["states"].get("done", 0) < number:
                time.sleep(0.5)
            seconds = time.perf_counter() - started
            return f"{number:>7} {processors:>11} {idle:>10} {peak_mib(daemon.pid):>9} {seconds:>8.0f}"


def main() -> None:
    """Print the table."""
    options = parser(__doc__)
    options.add_argument("dates", nargs="*", type=int, default=[1000, 3000])
    options.add_argument("--processors", type=int, default=JOBS)
    chosen = options.parse_args()
    print(conditions())
    print("  dates  processors  idle, MiB  peak, MiB  seconds")
    for number in chosen.dates:
        print(measure(number, chosen.processors), flush=True)


if __name__ == "__main__":
    main()
