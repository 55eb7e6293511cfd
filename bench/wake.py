"""What an idle daemon costs, and how soon after a job's end the next one starts.

python -m bench.wake [JOBS [IDLE_SECONDS]]
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

PIPELINE = """
name = "bench"
[warehouse]
kind = "lake"
path = "lake"
[[phase]]
name = "steps"
order = "sequential"
[[phase.processor]]
name = "step"
table = "bench.step"
command = ["sleep", "0.05"]
"""


def main() -> None:
    """Print both figures."""
    jobs, idle_seconds = [*map(int, sys.argv[1:]), *(200, 20)[len(sys.argv) - 1 :]]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "pipeline.toml").write_text(PIPELINE)
        daemon = subprocess.Popen(
            [sys.executable, "-m", "bench.daemon_process", name, str(jobs)], stdout=subprocess.PIPE
        )
        database = folder / "state" / "state.db"
        try:
            _wait(lambda: _ended(database) == jobs)
            before = _cpu_seconds(daemon.pid)
            time.sleep(idle_seconds)
            idle = (_cpu_seconds(daemon.pid) - before) / idle_seconds
            gaps = _gaps(database)
        finally:
            daemon.terminate()
            daemon.wait()
    print(f"load {os.getloadavg()[0]:.1f}, Python {sys.version.split()[0]}, {jobs} jobs one after another")
    print(
        f"end to next start, ms: median {statistics.median(gaps):.1f},"
        f" 99th percentile {gaps[int(0.99 * len(gaps))]:.1f}, most {gaps[-1]:.1f}"
    )
    print(f"idle: {100 * idle:.2f} % of a core over {idle_seconds} s")


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
