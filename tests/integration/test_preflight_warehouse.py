"""Preflight looks at the warehouse: is it reached, does it keep what is written, what is there so far."""

import datetime as dt
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

import backfilld.demo
from backfilld.api.schemas import data_quality_reports
from backfilld.daemon.preflight.checklist import preflight
from backfilld.daemon.warehouses.adapter import QueryError, WarehouseError
from backfilld.demo import lake
from backfilld.state.store.database import Database
from tests.checkout import END, START, make
from tests.factories import NOW, open_run
from tests.integration.preflight_fixture import GAMES, Ground, statuses, troubles

ZONES, CACHE, HISTORY = (
    "nba_precompute.team_defense_zone_analysis",
    "nba_precompute.player_daily_cache",
    "nba_reference.processor_run_history",
)
DAY = 86_400.0


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return Ground(make(tmp_path))


# ------------------------------------------------------------------------------------------- is it reached


def test_a_warehouse_that_does_not_answer_is_told_once_and_the_rest_is_not_asked(ground: Ground) -> None:
    def refuse() -> str:
        raise WarehouseError("BigQuery cannot be reached: no credentials")

    ground.tables.describe_connection = refuse  # type: ignore[method-assign]
    told = ground.ask()
    assert troubles(told, "warehouse") == [("fail", "BigQuery cannot be reached: no credentials")]
    assert {check for check, status in statuses(told).items() if status == "fail"} == {"warehouse"}
    assert statuses(told)["columns"] == "skip"
    assert statuses(told)["options"] == "pass"
    assert told.exit_code == 1


def test_a_dataset_in_another_location_is_critical(ground: Ground) -> None:
    ground.tables.lies_in = "US"
    found = troubles(ground.ask(), "location")
    assert ("fail", "nba_raw lies in US, the pipeline file says us-west2") in found


def test_a_location_that_is_not_stated_is_a_warning(ground: Ground) -> None:
    ground.edit('location = "us-west2"', "")
    told = ground.ask()
    assert troubles(told, "location") == [("warn", "the pipeline file states no location")]
    assert told.exit_code == 2


def test_a_dataset_that_does_not_exist_is_critical(ground: Ground) -> None:
    ground.tables.lies_in = None
    assert ("fail", "dataset nba_raw does not exist") in troubles(ground.ask(), "datasets")


def test_a_table_that_does_not_exist_or_may_not_be_seen_is_critical(ground: Ground) -> None:
    ground.tables.known[ZONES] = None
    ground.tables.known[CACHE] = QueryError("Access Denied: Table player_daily_cache")
    assert troubles(ground.ask(), "tables") == [
        ("fail", f"table {CACHE}: Access Denied: Table player_daily_cache"),
        ("fail", f"table {ZONES} does not exist"),
    ]


# --------------------------------------------------------------------------------------- is it as we think


def test_a_predicate_that_the_warehouse_refuses_is_critical_with_its_words(ground: Ground) -> None:
    ground.facts.refused_rules["upcoming_player_game_context"] = "no column completeness_percentage"
    assert troubles(ground.ask(), "columns") == [
        (
            "fail",
            "nba_analytics.upcoming_player_game_context cannot be queried for"
            " upcoming_player_game_context.expect.quality.where: no column completeness_percentage",
        )
    ]


@pytest.mark.parametrize(
    ("table", "columns", "line"),
    [
        (ZONES, {"game_date"}, f"{ZONES} has no column analysis_date"),
        (
            "nba_analytics.team_defense_game_summary",
            {"game_date", "game_id"},
            "nba_analytics.team_defense_game_summary has no column team_abbr",
        ),
    ],
)
def test_a_column_that_the_pipeline_names_and_the_table_lacks_is_critical(
    ground: Ground, table: str, columns: set[str], line: str
) -> None:
    ground.tables.change(table, columns=frozenset(columns))
    found = troubles(ground.ask(), "columns")
    assert any(status == "fail" and text.startswith(line) for status, text in found), found


def test_a_table_that_lacks_a_column_is_not_counted_among_those_that_have_them(ground: Ground) -> None:
    def counted() -> int:
        columns = next(result for result in ground.ask().results if result.check == "columns")
        return int(
            columns.findings[-1].line.removesuffix(" tables have the columns that the pipeline file names")
        )

    before = counted()
    ground.tables.change(HISTORY, columns=frozenset({"data_date"}))
    assert counted() == before - 1


def test_a_history_without_an_optional_column_is_done_without(ground: Ground) -> None:
    columns = {"data_date", "processor_name", "status", "started_at", "processed_at", "errors"}
    ground.tables.change(HISTORY, columns=frozenset(columns))
    assert troubles(ground.ask(), "columns") == [
        ("warn", f"{HISTORY} has no column run_id; it is not used"),
        ("warn", f"{HISTORY} has no column trigger_source; it is not used"),
    ]


def test_a_history_without_a_status_is_critical(ground: Ground) -> None:
    columns = {"data_date", "processor_name", "started_at", "processed_at", "errors", "run_id"}
    ground.tables.change(HISTORY, columns=frozenset(columns))
    assert ("fail", f"{HISTORY} has no column status") in troubles(ground.ask(), "columns")


def test_partitions_that_expire_before_the_oldest_date_are_critical(ground: Ground) -> None:
    ground.tables.change(CACHE, expiration_seconds=30 * DAY)
    told = ground.ask()
    assert troubles(told, "partitions") == [
        ("fail", f"{CACHE} loses partitions after 30 days: rows of 2021-11-15 vanish at once")
    ]
    assert told.exit_code == 1


def test_partitions_that_expire_after_the_oldest_date_are_fine(ground: Ground) -> None:
    ground.tables.change(CACHE, expiration_seconds=3650 * DAY)
    assert troubles(ground.ask(), "partitions") == []


def test_partitions_by_another_column_are_told(ground: Ground) -> None:
    ground.tables.change(ZONES, partition_column="processed_date", expiration_seconds=90 * DAY)
    assert troubles(ground.ask(), "partitions") == [
        ("warn", f"{ZONES} loses partitions 90 days after processed_date"),
        ("fail", f"{ZONES} refuses queries that do not name processed_date; ours name analysis_date"),
    ]


# ------------------------------------------------------------------------------------ what is there so far


def test_a_history_that_nobody_writes_any_more_is_a_warning(ground: Ground) -> None:
    ground.tables.change(HISTORY, modified_at=NOW - 40 * DAY)
    assert troubles(ground.ask(), "history") == [("warn", f"{HISTORY} was last written 40 days ago")]


def test_a_history_that_is_not_there_is_critical(ground: Ground) -> None:
    ground.tables.known[HISTORY] = None
    assert troubles(ground.ask(), "history") == [("fail", f"{HISTORY} does not exist")]


def test_the_first_phase_is_measured_and_the_others_are_told(ground: Ground) -> None:
    for date in list(GAMES)[:3]:
        ground.facts.rows["nbac_team_boxscore", date] = 0
    told = ground.ask()
    assert troubles(told, "data") == [("warn", "phase2: 7 of 10 dates ready, 94.0 % complete")]
    lines = [f.line for one in told.results if one.check == "data" for f in one.findings]
    assert lines[1:] == [
        "phase3: 10 of 10 dates ready, 100.0 % complete",
        "phase4: 10 of 10 dates ready, 100.0 % complete",
    ]


def test_a_table_that_cannot_be_judged_is_critical(ground: Ground) -> None:
    ground.facts.broken = {"player_daily_cache": "Cannot query over table without a filter"}
    assert troubles(ground.ask(), "data") == [
        (
            "fail",
            "player_daily_cache cannot be judged on 10 dates: Cannot query over table without a filter",
        )
    ]


def test_holes_before_the_range_are_told(ground: Ground) -> None:
    earlier = dt.date(2021, 11, 14)
    ground.facts.calendar = {earlier: 8, **GAMES}
    (missing, *_) = troubles(ground.ask(), "data")
    assert missing[0] == "warn"
    assert missing[1].startswith("phase4 depends on earlier dates: 2021-11-14 lacks player_game_summary")


def test_a_second_controller_at_work_on_the_same_dates_is_named(ground: Ground) -> None:
    ground.facts.open = {
        ("player_game_summary", START): open_run(hours_ago=0.5, detail="started by scheduler"),
        ("player_game_summary", END): open_run(hours_ago=40),
    }
    told = ground.ask()
    assert troubles(told, "others") == [
        (
            "warn",
            "runs of these dates are open:"
            " player_game_summary of 2021-11-15 (0.5 h old, started by scheduler)",
        )
    ]
    assert told.exit_code == 2


def test_a_warehouse_that_fails_under_way_is_told_where_it_failed(ground: Ground) -> None:
    ground.facts.down = "quota exceeded"
    told = ground.ask()
    assert troubles(told, "calendar") == [("fail", "quota exceeded")]
    assert statuses(told)["others"] == "skip"


# ----------------------------------------------------------------------------------- this machine, and all


def _none(_: Path) -> None:
    pass


def _current(state: Path) -> None:
    state.mkdir()
    database = Database(f"sqlite:///{state / 'state.db'}")
    database.upgrade()
    database.close()


def _newer(state: Path) -> None:
    _current(state)
    with sqlite3.connect(state / "state.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()


def _damaged(state: Path) -> None:
    state.mkdir()
    (state / "state.db").write_text("this is no database, and it is long enough to be looked at\n" * 50)


@pytest.mark.parametrize(
    ("prepare", "status", "words"),
    [
        (_none, "pass", "there is none yet"),
        (_current, "pass", "can be written"),
        (_newer, "fail", "its schema 9999 is newer than this program"),
        (_damaged, "fail", "file is not a database"),
    ],
)
def test_the_state_database_is_looked_at_and_left_as_it_is(
    ground: Ground, tmp_path: Path, prepare: Callable[[Path], None], status: str, words: str
) -> None:
    state = tmp_path / "state"
    prepare(state)
    told = ground.ask(state_dir=state)
    result = next(one for one in told.results if one.check == "state")
    assert (result.status.value, words in result.findings[0].line) == (status, True), result
    if prepare is _none:
        assert not state.exists()


def test_a_state_directory_that_cannot_be_made_is_critical(ground: Ground, tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    told = ground.ask(state_dir=in_the_way / "state")
    assert troubles(told, "state") == [("fail", f"{in_the_way} cannot be written")]


def test_too_little_room_for_logs_is_critical(
    ground: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backfilld.daemon.preflight.storage.LEAST_BYTES", 2**80)
    assert [status for status, _ in troubles(ground.ask(state_dir=tmp_path), "disk")] == ["fail"]


def test_an_inverted_range_is_refused(ground: Ground) -> None:
    with pytest.raises(ValueError, match="start 2021-11-24 is after end 2021-11-15"):
        ground.ask(start=END, end=START)


def test_its_json_is_plain(ground: Ground) -> None:
    told = data_quality_reports.Preflight.plain(ground.ask())
    assert (told["exit_code"], told["summary"].split(":")[0]) == (0, "ready")
    assert told["results"][0]["findings"][0]["status"] == "pass"


def test_the_demo_is_ready_but_for_its_data(tmp_path: Path) -> None:
    # Given a fresh demo: a lake with a schedule, real jobs and no rows
    path = tmp_path / "pipeline.toml"
    shutil.copy(Path(backfilld.demo.__file__).parent / "pipeline.toml", path)
    lake.create(tmp_path / "lake")
    # When it is looked at through the real lake, dry runs and all
    told = preflight(
        path, now=NOW, start=dt.date(2021, 10, 15), end=dt.date(2021, 11, 7), state_dir=tmp_path / "state"
    )
    # Then nothing is wrong, save that its first phase has to run
    assert {check: status for check, status in statuses(told).items() if status != "pass"} == {"data": "warn"}
    assert told.exit_code == 2


def test_a_state_database_that_is_none_is_critical(
    ground: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BACKFILLD_DATABASE", "mysql://nobody")
    told = ground.ask(state_dir=tmp_path)
    assert told.exit_code == 1
    (found,) = troubles(told, "configuration")
    assert found[1].startswith("BACKFILLD_DATABASE: it is not a URL of PostgreSQL")
