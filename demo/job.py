"""Runs a job of the platform: reads its inputs from the lake, writes a partition, records its run.

It behaves as the real platform: a job exits with 0 whatever happens to its dates, a missing input is a line
in the log, dates without games are skipped, and the run history gets a row at the start and at the end.
Environment: DEMO_LAKE is the folder of the lake, DEMO_SECONDS the seconds that a date takes (default 0).
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from argparse import Namespace
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import duckdb

from backfilld.demo import lake as lakes
from backfilld.demo import misbehaviour_switches, run_log
from backfilld.demo.job_options import BadDates, CommandLine
from backfilld.demo.processor_definitions import (
    BASE_TABLES,
    BOOTSTRAP_DAYS,
    COMPLETENESS,
    PROCESSORS,
    SEASON_OPENS,
    TEAMS,
    Processor,
)

HANG_SECONDS = 600
PROGRESS_SECONDS = 0.5
CLOSES_NO_HISTORY = ("unclosed", "no_history")
REPORTED_AS_FAILED = ("exit1", "fail", "fail_quietly")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One processor, its lake and the seconds that a date takes."""

    name: str
    lake: Path
    pace: float

    @property
    def processor(self) -> Processor:
        """The output, inputs and query of the job."""
        return PROCESSORS[self.name]


def run(name: str, command_line: CommandLine, arguments: Namespace, **options: bool) -> int:
    """Run the job for the dates of its parsed command line and return the exit code; `options` are logged."""
    job = Job(
        name=name,
        lake=Path(os.environ.get("DEMO_LAKE", "lake")),
        pace=float(os.environ.get("DEMO_SECONDS") or 0),
    )
    if not job.lake.is_dir():
        return _refuse(f"no lake at {job.lake} (DEMO_LAKE)")
    try:
        dates = command_line.dates_from(arguments, _season(job.lake))
    except BadDates as error:
        return _refuse(str(error))
    say(f"{job.processor.history_name}: {_counted(dates)}", **options)
    if arguments.dry_run:
        for day in dates:
            say(f"  would write {lakes.processor_partition(job.lake, name, day)}")
        return 0
    return _run_dates(job, dates)


def say(text: str, **details: object) -> None:
    """Print a line of progress and flush it: the daemon watches for silence."""
    extra = "".join(f" {key}={value}" for key, value in details.items())
    sys.stdout.write(f"{time.strftime('%H:%M:%S')} {text}{extra}\n")
    sys.stdout.flush()


def _counted(dates: list[date]) -> str:
    return "1 date" if len(dates) == 1 else f"{len(dates)} dates"


def _refuse(reason: str) -> int:
    sys.stderr.write(f"{reason}\n")
    return 1


def _season(lake: Path) -> list[date]:
    folders = lakes.table_folder(lake, lakes.SCHEDULE).glob("game_date=*")
    return sorted(date.fromisoformat(folder.name.partition("=")[2]) for folder in folders)


def _run_dates(job: Job, dates: list[date]) -> int:
    run = run_log.start(job.lake, job.name, dates)
    codes = [_run_date(job, day) for day in dates]
    code = max(codes, default=0)
    say(f"done: {_counted(dates)} processed")
    run_log.end(job.lake, run, code)
    return code


def _run_date(job: Job, day: date) -> int:
    """Fill one date, with the misbehaviour that a switch selects, and return the exit code."""
    schedule = lakes.partition(job.lake, lakes.SCHEDULE, "game_date", day)
    if not schedule.is_dir():
        say(f"{day}: no games, nothing to do")
        return 0
    kind = misbehaviour_switches.next_kind(job.lake, job.name, day)
    with lakes.connect() as connection:
        opened = lakes.HistoryRow(
            processor=job.name,
            date=day,
            run_id=f"{job.name}-{os.getpid()}-{os.urandom(3).hex()}",
            status="running",
            started_at=time.time(),
        )
        if kind != "no_history":
            lakes.append_history(job.lake, opened, connection)
        if kind in ("hang", "hang_hard"):
            _hang(ignore_sigterm=kind == "hang_hard")
        _take_time(job.pace, day)
        try:
            closed = _fill(job, day, kind, opened, connection)
        except (
            duckdb.Error
        ) as error:  # an unreadable input: log it, record it, and exit with 0 as the real jobs do
            say(f"{day}: ERROR {error}")
            closed = replace(opened, status="failed", records_processed=0, errors=json.dumps([str(error)]))
        if kind == "crash":
            os.kill(os.getpid(), signal.SIGKILL)
        if kind not in CLOSES_NO_HISTORY:
            lakes.append_history(job.lake, replace(closed, processed_at=time.time()), connection)
    return int(kind in ("exit1", "fail"))


def _fill(
    job: Job, day: date, kind: str | None, opened: lakes.HistoryRow, connection: duckdb.DuckDBPyConnection
) -> lakes.HistoryRow:
    """Write the rows of one date and return the final history row."""
    if job.processor.skips_bootstrap and 0 <= lakes.season_day(day) < BOOTSTRAP_DAYS:
        say(f"{day}: skipped, day {lakes.season_day(day)} of the season is bootstrap")
        return replace(opened, status="skipped", records_processed=0, skip_reason="early_season")
    if kind == "unchanged":
        count = 0
        say(f"{day}: up to date")
    elif kind in ("nothing", "fail", "fail_quietly"):
        count = 0
        say(f"{day}: no data found")
    else:
        count = _write(job, day, kind, connection)
    if kind in REPORTED_AS_FAILED:
        say(f"{day}: ERROR upstream said 503")
        return replace(opened, status="failed", records_processed=0, errors=json.dumps(["upstream said 503"]))
    return replace(opened, status="success", records_processed=count)


def _write(job: Job, day: date, kind: str | None, connection: duckdb.DuckDBPyConnection) -> int:
    """Replace the partition of the date and return its row count. Without rows, keep the old partition."""
    rows = _spoil(rows_of(job.lake, job.processor, day, connection), job.name, kind)
    rows.create("result")
    count = connection.table("result").shape[0]
    if count == 0:
        say(f"{day}: no data found")
        return 0
    lakes.write_partition(connection.table("result"), lakes.processor_partition(job.lake, job.name, day))
    say(f"{day}: {count} rows to {job.processor.table}")
    return count


def rows_of(
    lake: Path, processor: Processor, day: date, connection: duckdb.DuckDBPyConnection
) -> duckdb.DuckDBPyRelation:
    """The rows that a processor computes for a date from the current lake."""
    schedule = lakes.partition(lake, lakes.SCHEDULE, "game_date", day)
    lakes.define(connection, "schedule", "", [schedule])
    connection.execute(
        "CREATE TABLE calendar AS SELECT $date::DATE AS date, $day::INTEGER AS day",
        {"date": day, "day": lakes.season_day(day)},
    )
    connection.execute(
        "CREATE TABLE league AS SELECT unnest(range(30)) AS team_no, unnest($teams) AS team_abbr",
        {"teams": TEAMS},
    )
    connection.execute(BASE_TABLES)
    for name, columns in processor.reads.items():
        days = _season_to(lake, name, day) if processor.reads_season else [day]
        folders = [lakes.processor_partition(lake, name, other) for other in days]
        lakes.define(connection, name, columns, folders)
    rows = connection.sql(processor.rows)
    return rows.project(COMPLETENESS) if processor.measures_completeness else rows


def _season_to(lake: Path, name: str, day: date) -> list[date]:
    folders = lakes.table_folder(lake, PROCESSORS[name].table).glob("*=*")
    days = sorted(date.fromisoformat(folder.name.partition("=")[2]) for folder in folders)
    return [other for other in days if SEASON_OPENS <= other <= day]


def _spoil(rows: duckdb.DuckDBPyRelation, name: str, kind: str | None) -> duckdb.DuckDBPyRelation:
    if kind == "duplicates":
        return rows.union(rows)
    if kind == "partial":
        return rows.limit(2 if "team_" in name else max(2, rows.shape[0] // 8))
    if kind == "degraded":
        return rows.project(_poorer(rows))
    return rows


def _poorer(rows: duckdb.DuckDBPyRelation) -> str:
    """The same columns, with poor values in the quality columns."""
    poor = {"completeness_percentage": "60.0", "is_production_ready": "false", "data_quality_tier": "'poor'"}
    return ", ".join(f"{poor[name]} AS {name}" if name in poor else name for name in rows.columns)


def _take_time(seconds: float, day: date) -> None:
    steps = max(1, round(seconds / PROGRESS_SECONDS)) if seconds > 0 else 0
    for step in range(steps):
        say(f"{day}: {100 * step // steps} %")
        time.sleep(seconds / steps)


def _hang(*, ignore_sigterm: bool) -> None:
    """Hang without output, with a child that keeps stdout open and outlives a kill of the parent alone."""
    if ignore_sigterm:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # inherited by the child
    sleeper = f"import time; time.sleep({HANG_SECONDS})"
    os.posix_spawn(sys.executable, [sys.executable, "-c", sleeper], os.environ)
    time.sleep(HANG_SECONDS)
