"""How the cost of what the daemon does grows with the number of dates that are known and live.

python -m bench.state_size [DATES ...]
"""

from __future__ import annotations

import datetime as dt
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable
from pathlib import Path

from bench.shape import SLOTS, toml
from state.pipeline_file import parse
from state.store import dates
from tests.integration.api_world import Api
from tests.simulation.world import World

REPEATS = 30
FIRST = dt.date(1905, 1, 1)
PER_REQUEST = 20_000
COLUMNS = ("enqueue", "idle", "1 change", "page", "progress", "/metrics", "start-up")


def median_ms(action: Callable[[], object]) -> float:
    """The median of some runs, in milliseconds."""
    return statistics.median(timed_ms(action) for _ in range(REPEATS))


def timed_ms(action: Callable[[], object]) -> float:
    """One run, in milliseconds."""
    started = time.perf_counter()
    action()
    return 1000 * (time.perf_counter() - started)


def measure(number: int) -> str:
    """One row: milliseconds with `number` dates known and live, the peak of memory, the size of the file."""
    with tempfile.TemporaryDirectory() as folder:
        shape = tomllib.loads(toml(["true", "{date}"], writers=SLOTS, lookback=30))
        world = World(parse(shape, Path("bench.toml")), {}, Path(folder))
        last = FIRST + dt.timedelta(days=number - 1)
        enqueue = timed_ms(lambda: _enqueue(world, last))
        world.settle()
        client = Api(world).client

        def one_change() -> None:
            with world.db.write() as tx:
                dates.wake_dates(tx, [last], world.time)
            world.engine.turn()

        def restart() -> None:
            world.db.close()
            world.start()

        page = f"/v1/dates?start={FIRST}&end={last}&limit=100"
        told = [
            enqueue,
            median_ms(world.engine.turn),
            median_ms(one_change),
            *(median_ms(lambda path=path: client.get(path)) for path in (page, "/v1/progress", "/metrics")),
            median_ms(restart),
        ]
        world.db.close()
        size = sum(path.stat().st_size for path in Path(folder).iterdir()) / 2**20
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return " ".join([f"{number:>7}", *(f"{ms:>9.1f}" for ms in told), f"{memory:>7.0f}", f"{size:>7.1f}"])


def _enqueue(world: World, last: dt.date) -> None:
    start = FIRST
    while start <= last:
        end = min(start + dt.timedelta(days=PER_REQUEST - 1), last)
        world.enqueue(start, end)
        start = end + dt.timedelta(days=1)


def main() -> None:
    """Print the table, each row from a process of its own."""
    if sys.argv[1:2] == ["--row"]:
        print(measure(int(sys.argv[2])))
        return
    print(
        f"load {os.getloadavg()[0]:.1f}, Python {sys.version.split()[0]}, milliseconds, medians of {REPEATS}"
    )
    print(" ".join(["  dates", *(f"{name:>9}" for name in COLUMNS), "mem MiB", " db MiB"]))
    for number in sys.argv[1:] or ["1000", "10000", "100000"]:
        subprocess.run([sys.executable, "-m", "bench.state_size", "--row", number], check=True)


if __name__ == "__main__":
    main()
