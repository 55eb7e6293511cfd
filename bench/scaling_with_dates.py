"""How the cost of what the daemon does grows with the number of dates that are known and live.

python -m bench.scaling_with_dates [DATES ...]

In CPU time: `unclean` is a start that checks the whole file; `stop` and `start-up` write and compare its
checksum, as the daemon does; `enqueue` asks for as many dates again; `admit` brings a date to where it waits,
with its queries.
"""

from __future__ import annotations

import argparse
import datetime as dt
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable
from functools import partial
from pathlib import Path

from sqlalchemy import Table

from backfilld.daemon.adapters import parse_pipeline
from backfilld.daemon.event_types import Event
from backfilld.state.store import dates, schema
from backfilld.state.store.database import Transaction
from bench.in_memory_warehouse import InMemoryWarehouse
from bench.options_and_machine_load import conditions, parser
from bench.pipeline_file import SLOTS, toml
from tests.integration.api_world import Api
from tests.simulation.world import World

REPEATS = 30
FIRST = dt.date(1905, 1, 1)
PER_REQUEST = 20_000
BY_ENGINE = 2_000
"""How many dates the engine brings to where they wait: more than one question is about."""
COLUMNS = (
    *("idle", "1 change", "page", "progress", "/metrics"),
    *("unclean", "stop", "start-up", "enqueue", "admit"),
)


def median_ms(action: Callable[[], object], repeats: int = REPEATS) -> float:
    """The median of some runs, in milliseconds."""
    return statistics.median(timed_ms(action) for _ in range(repeats))


def timed_ms(action: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    """One run, in milliseconds."""
    started = clock()
    action()
    return 1000 * (clock() - started)


class _DiscardedEvents(list[Event]):
    """Drop events, so that the memory is that of the daemon."""

    def append(self, event: Event) -> None:
        pass


def measure(number: int) -> str:
    """One row: milliseconds with `number` dates known and live, the peak of memory, the size of the file."""
    with tempfile.TemporaryDirectory() as folder:
        world, admit_ms = _settled(number, Path(folder))
        last = FIRST + dt.timedelta(days=number - 1)
        client = Api(world).client

        def one_change() -> None:
            with world.db.write() as tx:
                dates.make_dates_due(tx, [last], dates.IMMEDIATELY)
            world.engine.tick()

        def restart() -> None:
            world.db.close()
            world.db.open(trusting_checksum=True)
            world.start()

        def stop() -> None:
            world.db.close()
            world.db.record_checksum()

        page = f"/v1/dates?start={FIRST}&end={last}&limit=100"
        figures = [
            median_ms(world.engine.tick),
            median_ms(one_change),
            *(median_ms(lambda path=path: client.get(path)) for path in (page, "/v1/progress", "/metrics")),
            timed_ms(restart, time.process_time),
            timed_ms(stop, time.process_time),
            timed_ms(restart, time.process_time),
        ]
        size = sum(path.stat().st_size for path in Path(folder).iterdir()) / 2**20
        enqueue_again = partial(_enqueue, world, last + dt.timedelta(days=1), number)
        figures += [timed_ms(enqueue_again, time.process_time), admit_ms]
        world.db.close()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return " ".join([f"{number:>7}", *(f"{ms:>9.1f}" for ms in figures), f"{memory:>7.0f}", f"{size:>7.1f}"])


def _settled(number: int, folder: Path) -> tuple[World, float]:
    """A world at rest with so many dates, and milliseconds of CPU time per date that the engine brings there.

    The others stand where those do.
    """
    shape = tomllib.loads(toml(["true", "{date}"], writers=SLOTS, lookback=365))
    world = World(parse_pipeline(shape, Path("bench.toml")), {}, folder)
    world.warehouse, world.events = InMemoryWarehouse(), _DiscardedEvents()  # type: ignore[assignment]
    world.start()
    by_engine = min(number, BY_ENGINE)
    _enqueue(world, FIRST, by_engine)
    admit_ms = timed_ms(world.settle, time.process_time) / by_engine
    for days in range(by_engine, number, by_engine):
        with world.db.write() as tx:
            for table in (
                schema.calendar_days,
                schema.dates,
                schema.transitions,
                schema.backfill_dates,
                schema.checks,
            ):
                _repeat(tx, table, days, FIRST + dt.timedelta(days=by_engine - 1))
    return world, admit_ms


def _repeat(tx: Transaction, table: Table, days: int, last: dt.date) -> None:
    """Insert the rows of the dates up to `last` once more, so many days later."""
    beside = {"date": f"date(date, '+{days} days')", "attempt_id": "NULL"}
    names = [f'"{column.name}"' for column in table.columns]
    values = [beside.get(column.name, f'"{column.name}"') for column in table.columns]
    copied = f"INSERT INTO {table.name} ({', '.join(names)}) SELECT {', '.join(values)} FROM {table.name}"
    tx.exec_driver_sql(f"{copied} WHERE date BETWEEN ? AND ?", (str(FIRST), str(last)))


def _enqueue(world: World, start: dt.date, number: int) -> None:
    for first in range(0, number, PER_REQUEST):
        last = min(first + PER_REQUEST, number) - 1
        world.enqueue(start + dt.timedelta(days=first), start + dt.timedelta(days=last))


def main() -> None:
    """Print the table, each row from a process of its own."""
    options = parser(__doc__)
    options.add_argument("dates", nargs="*", type=int, default=[1000, 10000, 100000])
    options.add_argument("--row", type=int, help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.row:
        print(measure(chosen.row))
        return
    print(f"{conditions()}, milliseconds, medians of {REPEATS}")
    print(" ".join(["  dates", *(f"{name:>9}" for name in COLUMNS), "mem MiB", " db MiB"]))
    for number in chosen.dates:
        subprocess.run([sys.executable, "-m", "bench.scaling_with_dates", "--row", str(number)], check=True)


if __name__ == "__main__":
    main()
