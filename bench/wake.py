"""What an idle daemon costs, and how soon after a job's end the next one starts.

Once from date to date, where only the slot is waited for, and once from step to step of one date, where the
warehouse is asked in between.
"""

from __future__ import annotations

import itertools
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.options_and_machine_load import conditions, parser

PIPELINE = """
name = "bench"
[warehouse]
kind = "lake"
path = "lake"
[[phase]]
name = "steps"
order = "sequential"
"""
STEP = """
[[phase.processor]]
name = "step_{number}"
table = "bench.step_{number}"
command = ["sleep", "0.05"]
"""


def main() -> None:
    """Print the figures."""
    options = parser(__doc__)
    options.add_argument("--jobs", type=int, default=200)
    options.add_argument("--idle", type=float, default=20.0, help="how many seconds it is watched idle")
    chosen = options.parse_args()
    print(f"{conditions()}, {chosen.jobs} jobs of 50 ms one after another")
    for name, steps, dates in (("next date", 1, chosen.jobs), ("next step", chosen.jobs, 1)):
        waivers, idle = measure(steps, dates, chosen.idle)
        print(
            f"end to {name}, ms: median {statistics.median(waivers):.1f},"
            f" 99th percentile {waivers[int(0.99 * len(waivers))]:.1f}, most {waivers[-1]:.1f};"
            f" idle afterwards: {100 * idle:.2f} % of a core"
        )


def measure(steps: int, dates: int, idle_seconds: float) -> tuple[list[float], float]:
    """Milliseconds between jobs in rising order, and the share of a core that the daemon then takes idle."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        toml = PIPELINE + "".join(STEP.format(number=number) for number in range(steps))
        (folder / "pipeline.toml").write_text(toml)
        database = folder / "state" / "state.db"
        command = [sys.executable, "-m", "bench.headless_daemon", name, str(dates)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as daemon:
            try:
                _wait(lambda: _ended(database) == dates)
                before = _cpu_seconds(daemon.pid)
                time.sleep(idle_seconds)
                return _gaps(database), (_cpu_seconds(daemon.pid) - before) / idle_seconds
            finally:
                daemon.terminate()


def _wait(done: Callable[[], bool], seconds: float = 300.0) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise TimeoutError("the jobs do not end")
        time.sleep(0.2)


def _ended(database: Path) -> int:
    if not database.exists():
        return 0
    try:
        return int(_rows(database, "SELECT COUNT(*) FROM dates WHERE state = 'done'")[0][0])
    except sqlite3.OperationalError:
        return 0


def _gaps(database: Path) -> list[float]:
    """Milliseconds from each job's end to the start of the one after it, in rising order."""
    rows = _rows(database, "SELECT started_at, ended_at FROM attempts ORDER BY id")
    return sorted(1000 * (after[0] - before[1]) for before, after in itertools.pairwise(rows))


def _rows(database: Path, query: str) -> list[tuple[float, ...]]:
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
