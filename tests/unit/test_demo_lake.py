"""The demo's lake: partitions are replaced whole, the schedule is the real calendar's."""

from datetime import date
from pathlib import Path

import duckdb
import pytest
import sqlglot

import backfilld.demo
from backfilld.daemon.adapters import load_pipeline
from backfilld.demo import lake as lakes
from backfilld.demo.processor_definitions import PROCESSORS

OPENER = date(2021, 10, 19)
QUERY = load_pipeline(Path(backfilld.demo.__file__).parent / "pipeline.toml").calendar.query or ""


@pytest.fixture
def connection() -> duckdb.DuckDBPyConnection:
    return lakes.connect()


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("demo") / "lake"
    lakes.create(made)
    return made


def read(folder: Path, connection: duckdb.DuckDBPyConnection) -> list[tuple[object, ...]]:
    return connection.from_parquet(f"{folder}/*.parquet", hive_partitioning=True).fetchall()


def test_the_calendar_holds_the_first_weeks_of_the_season_and_no_off_days() -> None:
    games = lakes.calendar()
    assert (min(games), max(games), len(games)) == (OPENER, date(2021, 11, 30), 42)
    assert games[date(2021, 10, 26)] == 5
    assert sum(games.values()) == 318
    assert date(2021, 11, 25) not in games  # Thanksgiving


def test_a_fresh_lake_has_a_folder_for_every_table(lake: Path) -> None:
    for processor in PROCESSORS.values():
        assert list(lakes.table_folder(lake, processor.table).iterdir()) == []
    assert list(lakes.table_folder(lake, lakes.HISTORY).iterdir()) == []


def test_the_pipelines_calendar_query_finds_the_real_games_in_the_schedule(
    lake: Path, connection: duckdb.DuckDBPyConnection
) -> None:
    files = lakes.table_folder(lake, lakes.SCHEDULE) / "*" / "*.parquet"
    connection.execute("CREATE SCHEMA nba_raw")
    connection.execute(
        f"CREATE VIEW nba_raw.nbac_schedule AS FROM read_parquet('{files}', hive_partitioning=true)"
    )
    query = sqlglot.transpile(QUERY, read="bigquery", write="duckdb")[0]
    span = {"start": date(2021, 10, 1), "end": date(2021, 11, 30)}
    assert dict(connection.execute(query, span).fetchall()) == lakes.calendar()


def test_the_schedule_has_several_rows_a_game(lake: Path, connection: duckdb.DuckDBPyConnection) -> None:
    rows = read(lakes.partition(lake, lakes.SCHEDULE, "game_date", OPENER), connection)
    assert len(rows) == 6
    assert {row[0] for row in rows} == {"0022100001", "0022100002"}
    assert rows[0][-1] == OPENER


def test_a_lake_is_not_made_where_something_is(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("keep")
    with pytest.raises(FileExistsError, match="not empty"):
        lakes.create(tmp_path)


def test_no_team_plays_twice_on_a_date(lake: Path, connection: duckdb.DuckDBPyConnection) -> None:
    files = lakes.table_folder(lake, lakes.SCHEDULE) / "*" / "*.parquet"
    schedule = connection.from_parquet(str(files), hive_partitioning=True).filter("game_status = 3")
    teams = schedule.project("game_date, unnest([home_team_tricode, away_team_tricode]) AS team")
    assert teams.distinct().shape == teams.shape


def test_a_partition_is_replaced_whole(tmp_path: Path, connection: duckdb.DuckDBPyConnection) -> None:
    folder = tmp_path / "game_date=2021-10-19"
    lakes.write_partition(connection.sql("SELECT 1 AS points"), folder)
    (folder / "part-7.parquet").write_bytes((folder / "part-0.parquet").read_bytes())
    lakes.write_partition(connection.sql("SELECT 2 AS points"), folder)
    assert read(folder, connection) == [(2, OPENER)]
    assert [file.name for file in folder.iterdir()] == ["part-0.parquet"]


def test_nothing_half_written_ever_looks_like_rows(
    tmp_path: Path, connection: duckdb.DuckDBPyConnection
) -> None:
    folder = tmp_path / "game_date=2021-10-19"
    breaks = connection.sql("SELECT if(i < 5, i, error('disk full')) AS points FROM range(9) AS r (i)")
    with pytest.raises(duckdb.Error, match="disk full"):
        lakes.write_partition(breaks, folder)
    assert list(folder.glob("*.parquet")) == []


def test_a_run_leaves_two_rows_with_one_run_id(tmp_path: Path, connection: duckdb.DuckDBPyConnection) -> None:
    running = lakes.HistoryRow(
        processor="player_daily_cache", date=OPENER, run_id="r1", status="running", started_at=1634688000.0
    )
    closed = lakes.HistoryRow(
        processor="player_daily_cache",
        date=OPENER,
        run_id="r1",
        status="failed",
        started_at=1634688000.0,
        processed_at=1634688002.5,
        records_processed=0,
        errors='["no table"]',
    )
    for row in (running, closed):
        lakes.append_history(tmp_path, row)
    folder = lakes.partition(tmp_path, lakes.HISTORY, "data_date", OPENER)
    assert sorted(file.name for file in folder.iterdir()) == ["r1-1.parquet", "r1-2.parquet"]
    rows = connection.from_parquet(f"{folder}/*.parquet", hive_partitioning=True)
    columns = "processor_name, run_id, phase, status, duration_seconds, records_processed, errors, data_date"
    assert rows.order("status DESC").project(columns).fetchall() == [
        ("PlayerDailyCacheProcessor", "r1", "phase_4_precompute", "running", None, None, None, OPENER),
        ("PlayerDailyCacheProcessor", "r1", "phase_4_precompute", "failed", 2.5, 0, '["no table"]', OPENER),
    ]
