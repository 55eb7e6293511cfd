"""How the cost of what the daemon does grows with the number of processors in its pipeline file.

python -m bench.scaling_with_pipeline_size [PROCESSORS ...] [--phases N] [--postgresql]

In milliseconds of CPU time of the daemon: `check` reads the file and finds its mistakes and warnings; `start`
recovers with 20 live dates; `1 change` is a pass with one due date; `job` is one job of the first date, its
gates and verdict included; then /metrics, the overview and the page of a date, each with its size in KiB.
The processors are in parallel phases of the same size, each of which needs all of the one before.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import statistics
import tempfile
import time
import tomllib
from collections.abc import Callable
from pathlib import Path

from backfilld.daemon.adapters import parse_pipeline
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.pipeline.semantic_validation import warnings
from backfilld.state.store import dates
from bench.in_memory_warehouse import InMemoryWarehouse
from bench.options_and_machine_load import conditions, parser
from bench.pipeline_file import toml
from tests import postgresql
from tests.integration.api_world import Api
from tests.simulation.world import World

REPEATS, DATES = 5, 20
FIRST = dt.date(2021, 1, 1)
LAST = FIRST + dt.timedelta(days=DATES - 1)
PATHS = ("/metrics", "/", f"/dates/{FIRST}")
COLUMNS = ("check", "start", "1 change", "job", "/metrics", "KiB", "page", "KiB", "date", "KiB")
NewDatabase = Callable[[], str | None]
"""Makes a database and returns its URL; None for a file."""


def cpu_ms(action: Callable[[], object], repeats: int = REPEATS) -> float:
    """The median CPU time of some runs, in milliseconds."""

    def once() -> float:
        started = time.process_time()
        action()
        return 1000 * (time.process_time() - started)

    return statistics.median(once() for _ in range(repeats))


def read(number: int, phases: int) -> Pipeline:
    """The pipeline file with so many processors in so many phases, read and checked."""
    shape = [(f"phase{n}", "parallel", number // phases) for n in range(phases)]
    pipeline = parse_pipeline(tomllib.loads(toml(["true", "{date}"], phases=shape)), Path("bench.toml"))
    list(warnings(pipeline))
    return pipeline


def measure(number: int, phases: int, new_database: NewDatabase) -> list[float]:
    """The figures of one row."""
    pipeline = read(number, phases)
    figures = [cpu_ms(lambda: read(number, phases), 1)]
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as second:
        world = World(pipeline, {}, Path(folder), url=new_database())
        world.warehouse = InMemoryWarehouse()  # type: ignore[assignment]
        figures += _waiting(world)
        figures.append(_job(World(pipeline, {FIRST: 1}, Path(second), url=new_database())))
        client = Api(world).client
        for path in PATHS:
            figures.append(cpu_ms(lambda path=path: client.get(path)))  # type: ignore[misc]
            figures.append(len(client.get(path).data) / 1024)
        world.db.close()
    return figures


def _waiting(world: World) -> list[float]:
    """A start and a pass with one change, where all dates wait."""
    world.start()
    world.enqueue(FIRST, LAST)
    world.settle()

    def one_change() -> None:
        with world.db.write() as tx:
            dates.make_dates_due(tx, [LAST], dates.IMMEDIATELY)
        world.engine.tick()

    return [cpu_ms(world.start), cpu_ms(one_change)]


def _job(world: World) -> float:
    """A job of one date, from nothing to done."""
    world.enqueue(FIRST, FIRST)
    spent = cpu_ms(world.run, 1)
    world.db.close()
    return spent / len(world.executor.launched)


def main() -> None:
    """Print the table."""
    options = parser(__doc__)
    options.add_argument("processors", nargs="*", type=int, default=[20, 200, 1000])
    options.add_argument("--phases", type=int, default=20)
    options.add_argument("--postgresql", action="store_true", help="in place of SQLite")
    chosen = options.parse_args()
    with contextlib.ExitStack() as until_end:
        new_database: NewDatabase = lambda: None  # noqa: E731
        if chosen.postgresql:
            new_database = until_end.enter_context(postgresql.running()).migrated
        print(f"{conditions()}, milliseconds of CPU time")
        print(" ".join(["processors", *(f"{name:>9}" for name in COLUMNS)]))
        for number in chosen.processors:
            row = measure(number, chosen.phases, new_database)
            print(" ".join([f"{number:>10}", *(f"{figure:>9.1f}" for figure in row)]), flush=True)


if __name__ == "__main__":
    main()
