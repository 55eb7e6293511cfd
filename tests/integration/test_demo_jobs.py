"""The demo's jobs as real processes on a real lake: what they write, need and accept."""

import shutil
import sys
from datetime import date
from pathlib import Path

import pytest

from backfilld.demo import job, misbehaviour_switches, run_log
from backfilld.demo import lake as lakes
from backfilld.demo.processor_definitions import PROCESSORS
from backfilld.state.rules.verdict import Verdict
from tests.integration.demo_platform import DAY, GAMES, PIPELINE, Platform, Run, season_day
from tests.scratch_duckdb import scratch

BOOTSTRAP_DAY = date(2021, 10, 20)
THANKSGIVING = date(2021, 11, 25)

ROWS = {
    "nbac_gamebook_player_stats": 174,
    "nbac_team_boxscore": 10,
    "bettingpros_player_points_props": 4080,
    "bigdataball_play_by_play": 2445,
    "bdl_player_boxscores": 125,
    "player_game_summary": 109,
    "team_defense_game_summary": 10,
    "team_offense_game_summary": 10,
    "upcoming_player_game_context": 169,
    "upcoming_team_game_context": 10,
    "team_defense_zone_analysis": 20,
    "player_shot_zone_analysis": 203,
    "player_composite_factors": 169,
    "player_daily_cache": 95,
}
ORDER = sorted(PROCESSORS, key=lambda name: (PIPELINE.stage_of[name].index, PIPELINE.processors[name].after))


@pytest.fixture
def platform(tmp_path: Path) -> Platform:
    return Platform(tmp_path, BOOTSTRAP_DAY, DAY)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Platform, dict[str, Run]]:
    platform = Platform(tmp_path_factory.mktemp("filled"), DAY)
    return platform, {name: platform.run(name) for name in ORDER}


Filled = tuple[Platform, dict[str, Run]]


@pytest.fixture
def raw(filled: Filled, tmp_path: Path) -> Platform:
    """A platform with the raw data of DAY and nothing computed from it."""
    shutil.copytree(filled[0].lake, tmp_path / "lake")
    for dataset in ("nba_analytics", "nba_precompute", "nba_reference"):
        for partition in (tmp_path / "lake" / dataset).glob("*/*=*"):
            shutil.rmtree(partition)
    return Platform(tmp_path)


# ---- what they write


@pytest.mark.parametrize("name", ORDER)
def test_a_date_filled_in_order_satisfies_every_expectation(name: str, filled: Filled) -> None:
    platform, runs = filled
    assert (runs[name].returncode, runs[name].stderr) == (0, "")
    assert platform.count(name) == ROWS[name]
    assert f"{ROWS[name]} rows to {PROCESSORS[name].table}" in runs[name].stdout
    assert platform.verdict(name) is Verdict.COMPLETE


def test_each_run_was_opened_and_closed_in_the_history(filled: Filled) -> None:
    platform, _ = filled
    history = platform.history()
    assert [row for row in history if row[0] == "running"] == [("running", None)] * 14
    assert sorted(count or 0 for status, count in history if status == "success") == sorted(ROWS.values())


def test_the_witness_saw_the_runs_one_after_another(filled: Filled) -> None:
    runs = run_log.runs(filled[0].lake)
    assert [(run.processor, run.dates, run.exit_code) for run in runs] == [
        (name, (DAY,), 0) for name in ORDER
    ]
    assert run_log.overlapping(runs) == []


def test_dates_all_over_the_calendar_can_be_filled(tmp_path: Path) -> None:
    """The same code as the jobs', without a hundred processes. The days are where bootstrap and ramps turn,
    and those with the fewest and the most games.
    """
    days = [day for day in GAMES if lakes.season_day(day) in (0, 6, 7, 20, 22, 28, 30, 42)]
    platform = Platform(tmp_path, *GAMES)
    for day in days:
        for name in ORDER:
            if not PIPELINE.bypassed(PIPELINE.stage_of[name], season_day(day)):
                with scratch() as connection:
                    rows = job.rows_of(platform.lake, PROCESSORS[name], day, connection)
                    lakes.write_partition(rows, lakes.processor_partition(platform.lake, name, day))
                assert platform.verdict(name, day) is Verdict.COMPLETE, f"{name} on {day}"
    last = platform.rows("team_defense_zone_analysis", days[-1])
    assert last is not None
    assert last.project("window_dates").distinct().fetchall() == [(len(days),)]


def test_a_rerun_writes_the_same_rows_in_place_of_the_old(platform: Platform) -> None:
    platform.run("nbac_team_boxscore")
    first = platform.rows("nbac_team_boxscore")
    assert first is not None
    before = first.fetchall()
    platform.run("nbac_team_boxscore")
    again = platform.rows("nbac_team_boxscore")
    assert again is not None
    assert again.fetchall() == before


def test_a_job_logs_its_attempt_and_takes_its_time(platform: Platform) -> None:
    done = platform.run("nbac_team_boxscore", BACKFILLD_ATTEMPT="31", DEMO_SECONDS="0.05")
    assert f"{DAY}: 0 %" in done.stdout
    (run,) = run_log.runs(platform.lake)
    assert (run.attempt, run.exit_code) == ("31", 0)
    assert run.ended is not None
    assert run.ended - run.started >= 0.05


# ---- what they depend on


def test_without_its_input_a_job_finds_no_data_and_exits_0(platform: Platform) -> None:
    done = platform.run("team_offense_game_summary")
    assert done.returncode == 0
    assert "no data found" in done.stdout
    assert not lakes.processor_partition(platform.lake, "team_offense_game_summary", DAY).exists()
    assert platform.history() == [("running", None), ("success", 0)]


def test_half_an_input_makes_half_an_output(platform: Platform) -> None:
    misbehaviour_switches.switch(platform.lake, "nbac_team_boxscore", DAY, "partial")
    platform.run("nbac_team_boxscore")
    platform.run("team_offense_game_summary")
    assert platform.count("team_offense_game_summary") == 2
    assert platform.verdict("team_offense_game_summary") is Verdict.PARTIAL


def test_the_second_source_stands_in_for_the_first(raw: Platform) -> None:
    shutil.rmtree(lakes.processor_partition(raw.lake, "nbac_gamebook_player_stats", DAY))
    raw.run("team_offense_game_summary")
    raw.run("player_game_summary")
    rows = raw.rows("player_game_summary")
    assert rows is not None
    assert rows.project("primary_source_used").distinct().fetchall() == [("bdl_boxscores",)]
    assert raw.verdict("player_game_summary") is Verdict.COMPLETE


def test_player_summaries_before_team_offense_have_no_usage_rate(raw: Platform) -> None:
    raw.run("player_game_summary")
    assert raw.count("player_game_summary") == ROWS["player_game_summary"]
    assert raw.verdict("player_game_summary") is Verdict.DEGRADED


def test_phase_4_out_of_order_computes_nothing(raw: Platform) -> None:
    raw.run("upcoming_player_game_context")
    assert raw.run("player_composite_factors").returncode == 0
    assert raw.count("player_composite_factors") == 0


def test_bootstrap_dates_are_skipped(platform: Platform) -> None:
    done = platform.run("team_defense_zone_analysis", BOOTSTRAP_DAY)
    assert done.returncode == 0
    assert "bootstrap" in done.stdout
    assert platform.history(BOOTSTRAP_DAY) == [("running", None), ("skipped", 0)]
    assert platform.count("team_defense_zone_analysis", BOOTSTRAP_DAY) == 0


def test_a_day_off_leaves_no_trace_but_the_witness(platform: Platform) -> None:
    done = platform.run("nbac_team_boxscore", THANKSGIVING)
    done_by_range = platform.run("team_offense_game_summary", THANKSGIVING)
    assert (done.returncode, done_by_range.returncode) == (0, 0)
    assert "no games" in done_by_range.stdout
    assert platform.history(THANKSGIVING) == []


def test_an_input_that_cannot_be_read_is_an_error_in_the_log_and_still_exit_0(platform: Platform) -> None:
    broken = lakes.processor_partition(platform.lake, "nbac_team_boxscore", DAY)
    broken.mkdir()
    (broken / "part-0.parquet").write_bytes(b"not parquet")
    done = platform.run("team_defense_game_summary")
    assert done.returncode == 0
    assert "ERROR" in done.stdout
    assert platform.history() == [("running", None), ("failed", 0)]


# ---- command lines


def test_what_a_job_does_not_know_exits_2(platform: Platform) -> None:
    module = [sys.executable, "-m", "backfilld.demo.jobs.nbac_team_boxscore"]
    done = platform.execute([*module, "--start-date", str(DAY), "--end-date", str(DAY)])
    assert done.returncode == 2
    assert "--end-date" in done.stderr
    assert run_log.runs(platform.lake) == []


def test_a_bad_date_and_a_missing_lake_exit_1(platform: Platform) -> None:
    module = [sys.executable, "-m", "backfilld.demo.jobs.team_offense_game_summary", "--start-date"]
    bad = platform.execute([*module, "2021-13-01"])
    lost = platform.execute([*module, str(DAY)], DEMO_LAKE="nowhere")
    assert (bad.returncode, bad.stderr) == (1, "not a date: '2021-13-01'\n")
    assert (lost.returncode, lost.stderr) == (1, "no lake at nowhere (DEMO_LAKE)\n")


def test_a_dry_run_says_what_it_would_write_and_writes_nothing(platform: Platform) -> None:
    done = platform.execute([*platform.argv("upcoming_team_game_context"), "--dry-run"])
    assert done.returncode == 0
    assert f"would write lake/nba_analytics/upcoming_team_game_context/game_date={DAY}" in done.stdout
    assert platform.count("upcoming_team_game_context") == 0
    assert platform.history() == []
