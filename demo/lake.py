"""The demo's lake: a directory of Parquet partitions, the game schedule and the run history.

A partition is `<dataset>/<table>/<date column>=YYYY-MM-DD/part-0.parquet`. It is written
under a hidden name, then renamed: a reader sees the old rows or the new ones, never a part.
"""

from __future__ import annotations

import contextlib
import csv
import itertools
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb

from backfilld.demo.processor_definitions import PROCESSORS, SEASON_OPENS, TEAMS

SCHEDULE = "nba_raw.nbac_schedule"
HISTORY = "nba_reference.processor_run_history"

# Dates and numbers of games are real, the pairings are not. A game has three rows (scheduled, live, final):
# counting rows counts too many games.
_SCHEDULE_ROWS = """
SELECT game_date, '00221' || lpad((first_game + game_no)::VARCHAR, 5, '0') AS game_id, game_status,
       ['scheduled', 'live', 'final'][game_status] AS game_status_text, '2021-22' AS season,
       list_extract($teams, 1 + (rotation + 2 * game_no)::INTEGER % 30) AS home_team_tricode,
       list_extract($teams, 1 + (rotation + 2 * game_no + 1)::INTEGER % 30) AS away_team_tricode,
       true AS is_regular_season, false AS is_playoffs
FROM (
    SELECT game_date, first_game, rotation, unnest(range(games)) AS game_no
    FROM (SELECT unnest($days, recursive := true))
), range(1, 4) AS s (game_status) ORDER BY game_date, game_no, game_status
"""

_HISTORY_ROW = """
SELECT $processor_name::VARCHAR AS processor_name, $run_id::VARCHAR AS run_id, $status::VARCHAR AS status,
       $phase::VARCHAR AS phase, $output_table::VARCHAR AS output_table,
       $started_at::TIMESTAMP AS started_at, $processed_at::TIMESTAMP AS processed_at,
       date_diff('millisecond', $started_at::TIMESTAMP, $processed_at::TIMESTAMP) / 1000 AS duration_seconds,
       $records_processed::BIGINT AS records_processed, $skip_reason::VARCHAR AS skip_reason,
       $errors::VARCHAR AS errors, true AS backfill_mode
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryRow:
    """One row of the run history. Times are epoch seconds; a running row has no `processed_at`."""

    processor: str
    date: date
    run_id: str
    status: str
    """running, success, failed or skipped."""
    started_at: float
    processed_at: float | None = None
    records_processed: int | None = None
    skip_reason: str | None = None
    errors: str | None = None
    """A JSON list of messages."""


def connect() -> duckdb.DuckDBPyConnection:
    """An in-memory DuckDB with one thread: jobs are many and small."""
    return duckdb.connect(config={"threads": 1})


def calendar() -> dict[date, int]:
    """Games per date from 2021-10-19 to 2021-11-30, without dates that have no games."""
    with (Path(__file__).parent / "calendar.csv").open(newline="") as file:
        return {date.fromisoformat(row["date"]): int(row["games"]) for row in csv.DictReader(file)}


def create(lake: Path, *, games: Mapping[date, int] | None = None) -> None:
    """Create a lake: a folder for every table, and the schedule of `games` (default: the calendar).

    Raises FileExistsError if the folder is not empty.
    """
    if lake.exists() and any(lake.iterdir()):
        raise FileExistsError(f"{lake} is not empty")
    for table in (HISTORY, SCHEDULE, *(processor.table for processor in PROCESSORS.values())):
        table_folder(lake, table).mkdir(parents=True)
    days = _days(calendar() if games is None else games)
    if not days:
        return
    with connect() as connection:
        rows = connection.sql(_SCHEDULE_ROWS, params={"days": days, "teams": TEAMS})
        folder = str(table_folder(lake, SCHEDULE))
        # One file for each date, named as by write_partition
        rows.write_parquet(folder, partition_by=["game_date"], filename_pattern="part-{i}", overwrite=True)


def _days(games: Mapping[date, int]) -> list[dict[str, object]]:
    """Each date with its games, the number of its first game, and the rotation of the teams."""
    numbers = itertools.accumulate((games[day] for day in sorted(games)), initial=1)
    return [
        {"game_date": day, "games": games[day], "first_game": first, "rotation": 7 * season_day(day)}
        for day, first in zip(sorted(games), numbers, strict=False)
    ]


def season_day(day: date) -> int:
    """Days since the season's first game, which is day 0; negative before it."""
    return (day - SEASON_OPENS).days


def table_folder(lake: Path, table: str) -> Path:
    """The folder of a table named `dataset.table`."""
    return lake.joinpath(*table.split("."))


def partition(lake: Path, table: str, date_column: str, day: date) -> Path:
    """The partition folder of a date, which need not exist."""
    return table_folder(lake, table) / f"{date_column}={day.isoformat()}"


def processor_partition(lake: Path, processor: str, day: date) -> Path:
    """The partition folder of a date in the output of a processor."""
    target = PROCESSORS[processor]
    return partition(lake, target.table, target.date_column, day)


def write_partition(rows: duckdb.DuckDBPyRelation, folder: Path) -> None:
    """Replace the contents of the partition with these rows."""
    _write(rows, folder, "part-0.parquet", replacing=True)
    for other in folder.glob("*.parquet"):
        if other.name != "part-0.parquet":
            other.unlink()


def append_history(lake: Path, row: HistoryRow, connection: duckdb.DuckDBPyConnection | None = None) -> None:
    """Add one row to the run history; a run's first row is `<run_id>-1`, its closing row `<run_id>-2`."""
    folder = partition(lake, HISTORY, "data_date", row.date)
    number = 1 if row.status == "running" else 2
    rows = history_rows(row, connection or connect())
    _write(rows, folder, f"{row.run_id}-{number}.parquet", replacing=False)


def history_rows(row: HistoryRow, connection: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyRelation:
    """The row with the columns of the platform, without the date."""
    processor = PROCESSORS[row.processor]
    values = asdict(row) | {
        "processor_name": processor.history_name,
        "phase": processor.phase,
        "output_table": processor.table,
        "started_at": _timestamp(row.started_at),
        "processed_at": None if row.processed_at is None else _timestamp(row.processed_at),
    }
    del values["processor"], values["date"]
    return connection.sql(_HISTORY_ROW, params=values)


def define(connection: duckdb.DuckDBPyConnection, name: str, columns: str, folders: Sequence[Path]) -> None:
    """Define `name` as the rows of the partitions in `folders`, or as an empty table of these columns."""
    files = [str(file) for folder in folders for file in sorted(folder.glob("*.parquet"))]
    if files:
        connection.from_parquet(files, hive_partitioning=True).create_view(name)
    else:
        connection.execute(f"CREATE TABLE {name} ({columns})")


def _write(rows: duckdb.DuckDBPyRelation, folder: Path, name: str, *, replacing: bool) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{name}.{os.getpid()}"
    rows.write_parquet(str(temporary))
    temporary.rename(folder / name)
    if endpoint := os.environ.get("DEMO_BIGQUERY"):
        from backfilld.demo import bigquery_publisher  # noqa: PLC0415 - importing Google's client takes longer than most jobs

        with contextlib.closing(bigquery_publisher.connect(endpoint)) as client:
            bigquery_publisher.publish(client, folder / name, replacing=replacing)


def _timestamp(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
