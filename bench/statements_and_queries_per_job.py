"""What a job costs in counts, which do not depend on the load of the machine: the real engine and store.

python -m bench.statements_and_queries_per_job [--write]

Per job: calls of the database driver (`statements`), transactions, commits of changes (which wait for the
disk), queries of the warehouse, and processes that the local executor starts; all but the processes in a
simulated world. `--write` keeps the figures in a JSON file of this name: the test suite fails
where one is exceeded.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from sqlalchemy import Engine, event

from backfilld.daemon.executors.adapter import Job
from backfilld.daemon.executors.local.executor import LocalExecutor
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.store import sql_helpers
from bench.makespan import in_memory
from bench.options_and_machine_load import parser
from bench.pipeline_file import PHASES, SLOTS
from tests.factories import phase, pipeline, processor
from tests.integration.real_jobs import until
from tests.simulation.season import OPENER, SEASON
from tests.simulation.world import World

LIMITS = Path(__file__).with_name("statements_and_queries_per_job.json")
"""The figures that no run of the test suite may exceed."""
DATES, STEPS, STARTED = 4, 10, 5
"""Sizes: dates of the whole shape, steps of the sequential phase, and jobs of the local executor."""


@contextmanager
def counted() -> Iterator[Counter[str]]:
    """Counts what is sent to any SQLite database in the meantime."""
    counts: Counter[str] = Counter()
    changes: dict[int, int] = {}

    def connected(connection: Any, _record: Any) -> None:
        def trace(statement: str) -> None:
            if statement.startswith("BEGIN"):
                writes = statement.endswith("IMMEDIATE")
                counts["write transactions" if writes else "read transactions"] += 1
                changes[id(connection)] = connection.total_changes
            elif statement == "COMMIT":
                counts["commits"] += connection.total_changes > changes[id(connection)]

        connection.set_trace_callback(trace)

    def executed(*_: Any) -> None:
        counts["statements"] += 1

    def prepared(statement: Any, *columns: Any) -> Any:
        executed()
        return prepare(statement, *columns)

    prepare = sql_helpers.prepared
    listeners = (("connect", connected), ("before_cursor_execute", executed))
    for name, listener in listeners:
        event.listen(Engine, name, listener)
    try:
        with mock.patch.object(sql_helpers, "prepared", prepared):
            yield counts
    finally:
        for name, listener in listeners:
            event.remove(Engine, name, listener)


def backfill(shape: Pipeline, dates: int, folder: Path) -> Mapping[str, float]:
    """Per job, for a backfill of some dates. Raises RuntimeError if a date does not end."""
    folder.mkdir()
    with counted() as counts:
        world = World(shape, SEASON, folder)
        world.enqueue(OPENER, list(SEASON)[dates - 1])
        counts.clear()
        world.warehouse.questions = 0
        world.run()
        counts["queries"] = world.warehouse.questions
        jobs = len(world.executor.launched)
        if world.live():
            raise RuntimeError(f"{len(world.live())} dates do not end")
        world.db.close()
    return {name: round(counts[name] / jobs, 2) for name in sorted(counts)}


def processes(folder: Path) -> Mapping[str, float]:
    """How many processes the local executor starts for each job."""
    folder.mkdir()
    started = mock.Mock(wraps=subprocess.Popen)
    executor = LocalExecutor(folder / "logs")
    jobs = [Job(attempt=number, argv=("/bin/true",), cwd=folder) for number in range(STARTED)]
    with mock.patch("subprocess.Popen", started):
        executor.launch(jobs, lambda handles: None)
    ended: set[int] = set()

    def all_ended() -> bool:
        ended.update(job.attempt for job in executor.poll() if job.result is not None)
        return len(ended) == STARTED

    until(all_ended, "the jobs to end")
    executor.close()
    return {"processes": started.call_count / STARTED}


def figures() -> Mapping[str, Mapping[str, float]]:
    """All counts by scenario."""
    phases = (
        phase(name, *(processor(f"{name}_{n}") for n in range(count)), order=order)
        for name, order, count in PHASES
    )
    steps = phase("steps", *(processor(f"step_{n}") for n in range(STEPS)), order="sequential")
    with in_memory() as folder:
        return {
            "a job of the 5 + 5 + 4 shape": backfill(
                pipeline(*phases, jobs={"slots": SLOTS}), DATES, folder / "shape"
            ),
            "a step of a sequential phase": backfill(pipeline(steps), 1, folder / "steps"),
            "a job of the local executor": processes(folder / "local"),
        }


def main() -> None:
    """Print the figures, and keep them with `--write`."""
    options = parser(__doc__)
    options.add_argument("--write", action="store_true")
    chosen, text = options.parse_args(), json.dumps(figures(), indent=2) + "\n"
    if chosen.write:
        LIMITS.write_text(text, encoding="utf-8")
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
