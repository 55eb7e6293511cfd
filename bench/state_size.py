"""How enqueue, an idle pass, a pass with one change and reading grow with the number of dates.

python -m bench.state_size [DATES ...]
"""

from __future__ import annotations

import datetime as dt
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from daemon.progress import progress
from state.pipeline_file import parse
from state.store import dates
from tests.factories import phase, pipeline_data, processor
from tests.simulation.world import World

REPEATS = 30
FIRST = dt.date(1950, 1, 1)


def shape() -> dict[str, object]:
    """The 5 + 5 + 4 shape, with every date expected."""
    phases = [
        phase("phase2", *[processor(f"source{n}") for n in range(5)]),
        phase("phase3", *[processor(f"summary{n}") for n in range(5)]),
        phase("phase4", *[processor(f"step{n}") for n in range(4)], order="sequential", lookback=30),
    ]
    return pipeline_data(*phases, calendar={})


def median_ms(action: Callable[[], object]) -> float:
    """The median of some runs, in milliseconds."""
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        action()
        times.append(1000 * (time.perf_counter() - started))
    return statistics.median(times)


def measure(number: int) -> list[str]:
    """One row: times in milliseconds with `number` dates known and live."""
    with tempfile.TemporaryDirectory() as folder:
        world = World(parse(shape(), Path("bench.toml")), {}, Path(folder))
        last = FIRST + dt.timedelta(days=number - 1)
        started = time.perf_counter()
        world.enqueue(FIRST, last)
        enqueue = 1000 * (time.perf_counter() - started)
        world.settle()
        idle = median_ms(world.engine.turn)

        def one_change() -> None:
            with world.db.write() as tx:
                dates.wake_dates(tx, [last], world.time)
            world.engine.turn()

        def read() -> None:
            with world.db.read() as tx:
                progress(tx, world.core)

        changed, told = median_ms(one_change), median_ms(read)
        size = sum(path.stat().st_size for path in Path(folder).iterdir()) / 2**20
        world.db.close()
    return [f"{number:>7}", *(f"{ms:>9.1f}" for ms in (enqueue, idle, changed, told)), f"{size:>8.1f}"]


def main() -> None:
    """Print the table."""
    print(
        f"load {os.getloadavg()[0]:.1f}, Python {sys.version.split()[0]}, medians of {REPEATS}, milliseconds"
    )
    print("  dates   enqueue      idle   1 change  progress      MiB")
    for number in map(int, sys.argv[1:] or ["10", "1000", "10000"]):
        print(" ".join(measure(number)), flush=True)


if __name__ == "__main__":
    main()
