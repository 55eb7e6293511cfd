"""What must be true of a lake and a state database once a run is over, whatever happened on the way."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from sqlalchemy import text

from backfilld.daemon.adapters import load_pipeline
from backfilld.demo import job, run_log
from backfilld.demo import lake as lakes
from backfilld.demo.processor_definitions import BOOTSTRAP_DAYS, PROCESSORS
from backfilld.state.store.database import Database
from tests.scratch_duckdb import scratch

CLOCK_SLACK = 0.5
"""Seconds by which a file's time may lag behind a clock reading: the kernel stamps files by its ticks."""


def expected(lake: Path, dates: Sequence[dt.date]) -> list[tuple[str, dt.date]]:
    """The (processor, date) pairs of the pipeline file that must have run: not phase 4 in bootstrap."""
    return [
        (name, date)
        for date in dates
        for name in load_pipeline(lake.parent / "pipeline.toml").processors
        if not (PROCESSORS[name].skips_bootstrap and lakes.season_day(date) < BOOTSTRAP_DAYS)
    ]


def wrong_partitions(lake: Path, dates: Sequence[dt.date]) -> list[str]:
    """Partitions that do not hold exactly the rows which their job computes from the rest of the lake."""
    pairs = expected(lake, dates)
    wrong = [
        f"{name} {date}: {rows} rows differ" for name, date in pairs if (rows := _differing(lake, name, date))
    ]
    strays = {
        (name, dt.date.fromisoformat(folder.name.partition("=")[2]))
        for name, processor in PROCESSORS.items()
        for folder in lakes.table_folder(lake, processor.table).iterdir()
    } - set(pairs)
    return [*wrong, *(f"{name} {date}: it was not requested" for name, date in sorted(strays))]


def _differing(lake: Path, name: str, date: dt.date) -> int:
    folder = lakes.processor_partition(lake, name, date)
    with scratch() as connection:
        right = job.rows_of(lake, PROCESSORS[name], date, connection)
        files = [str(file) for file in folder.glob("*.parquet")]
        if not files:
            return right.shape[0]
        stored = connection.from_parquet(files, hive_partitioning=False)
        more = abs(right.shape[0] - stored.shape[0])  # what is there twice is no difference of sets
        return more + right.except_(stored).shape[0] + stored.except_(right).shape[0]


def overlaps(lake: Path) -> list[tuple[run_log.Run, run_log.Run]]:
    """Runs of one output table, or of the sequential phase, that were under way at the same time."""
    pipeline = load_pipeline(lake.parent / "pipeline.toml")
    phase4 = [p.name for p in pipeline.phase[-1].processor]
    groups = [phase4, *([name] for name in pipeline.processors)]
    runs = run_log.runs(lake)
    return [
        pair for names in groups for pair in run_log.overlapping([r for r in runs if r.processor in names])
    ]


def out_of_order(lake: Path) -> list[str]:
    """Steps of phase 4 that began too early, by the jobs' own clocks.

    Step n+1 of a date begins after step n ended; a date's first step begins after the phase before it has
    ended for this and all earlier dates.
    """
    phases = load_pipeline(lake.parent / "pipeline.toml").phase
    names, before = ([p.name for p in phase.processor] for phase in (phases[-1], phases[-2]))
    runs = {(run.processor, run.dates[0]): run for run in run_log.runs(lake)}
    found = []
    for date in sorted({date for _, date in runs}):
        steps = [runs[name, date] for name in names if (name, date) in runs]
        inputs = [run for (name, earlier), run in runs.items() if name in before and earlier <= date]
        pairs = [*pairwise(steps), *((run, steps[0]) for run in inputs if steps)]
        found += [
            f"{date}: {after.processor} began before {first.processor} of {first.dates[0]} ended"
            for first, after in pairs
            if first.ended is None or after.started < first.ended
        ]
    return found


def repeated(lake: Path) -> dict[tuple[str, dt.date], int]:
    """What ran more than once."""
    counts = Counter((run.processor, date) for run in run_log.runs(lake) for date in run.dates)
    return {pair: n for pair, n in counts.items() if n > 1}


Row = Mapping[str, Any]
Ask = Callable[..., list[Row]]
"""A statement's rows, and its parameters by name."""


@contextlib.contextmanager
def asking(url: str) -> Iterator[Ask]:
    """A consistent view of a state database."""
    with contextlib.closing(Database(url)) as db, db.read() as tx:
        yield lambda statement, **values: list(tx.execute(text(statement), values).mappings())


def wrong_rows(url: str, lake: Path) -> list[str]:
    """What is wrong in the database: its file, open attempts, gaps in a history, attempts the lake denies."""
    wrong = []
    with asking(url) as ask:
        if url.startswith("sqlite"):
            wrong += [str(row) for row in ask("PRAGMA integrity_check") if row["integrity_check"] != "ok"]
            wrong += [f"foreign key: {row}" for row in ask("PRAGMA foreign_key_check")]
        open_ones = ask("SELECT * FROM attempts WHERE ended_at IS NULL")
        wrong += [f"still running: {row['id']}" for row in open_ones]
        wrong += _wrong_histories(ask)
        wrong += _wrong_attempts(ask, lake)
    return wrong


def _wrong_histories(ask: Ask) -> list[str]:
    """Histories that are not one unbroken way from pending to where the date stands."""
    wrong = []
    for row in ask("SELECT * FROM dates"):
        moves = ask("SELECT * FROM transitions WHERE date = :date ORDER BY version", date=row["date"])
        stations = ["pending", *(move["target"] for move in moves)]
        numbers = [move["version"] for move in moves]
        if [move["source"] for move in moves] != stations[:-1] or stations[-1] != row["state"]:
            wrong.append(f"{row['date']}: {stations} and then {row['state']}")
        if numbers != list(range(1, len(moves) + 1)) or row["version"] != len(moves):
            wrong.append(f"{row['date']}: versions {numbers}, {row['version']}")
    return wrong


def _wrong_attempts(ask: Ask, lake: Path) -> list[str]:
    """Attempts that began without running, ran without a claim, or are said to have ended too early."""
    attempts = {str(row["id"]): row for row in ask("SELECT * FROM attempts")}
    runs = {run.attempt: run for run in run_log.runs(lake)}
    wrong = [f"run without an attempt: {run}" for number, run in runs.items() if number not in attempts]
    for number, row in attempts.items():
        run = runs.get(number)
        if run is None:
            if row["status"] != "lost" or "never started" not in row["detail"]:
                wrong.append(f"attempt {number} left no trace in the lake: {row['status']} {row['detail']}")
        elif run.ended is None or not (
            row["claimed_at"] <= run.started and run.ended <= row["ended_at"] + CLOCK_SLACK
        ):
            wrong.append(f"attempt {number}: {row['claimed_at']} to {row['ended_at']}, the job says {run}")
    return wrong
