"""validate, preflight and quality as an operator meets them, over the demo's real lake and real jobs."""

import datetime as dt
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from backfilld.daemon.adapters import load_pipeline
from backfilld.daemon.reports import state_lookup
from backfilld.demo import environment, misbehaviour_switches
from backfilld.state.store import checks
from backfilld.state.store.database import Database
from tests.acceptance.daemon import with_processors
from tests.integration.command_line import CommandLine

OPENER, DAY = "2021-10-19", "2021-10-26"
FEW = (
    "nbac_gamebook_player_stats",
    "nbac_team_boxscore",
    "bdl_player_boxscores",
    "upcoming_team_game_context",
    "player_shot_zone_analysis",
)


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    monkeypatch.delenv("BACKFILLD_STATE_DIR", raising=False)
    return CommandLine(monkeypatch, capsys)


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh demo: a schedule, real jobs, no rows."""
    pipeline = environment.prepare(tmp_path / "demo")
    monkeypatch.setenv("BACKFILLD_PIPELINE", str(pipeline))
    return pipeline.parent


@pytest.fixture
def few(stage: Path) -> Path:
    """The same with few processors: a plan asks each script for its options, which takes a process."""
    path = stage / "pipeline.toml"
    path.write_text(with_processors(path.read_text(), FEW))
    return stage


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A demo whose opener is filled, by the very lines that the plan prints; not to be changed."""
    pipeline = environment.prepare(tmp_path_factory.mktemp("opened") / "demo")
    words = [sys.executable, "-m", "backfilld", "validate", OPENER, "--plan", "--pipeline", str(pipeline)]
    printed = subprocess.run(words, capture_output=True, text=True, check=False)
    assert printed.returncode == 1, printed.stderr
    script = printed.stdout[printed.stdout.index("# plan for") :]
    subprocess.run(["bash", "-e"], input=script, text=True, check=True, capture_output=True)
    return pipeline.parent


@pytest.fixture
def filled(opened: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BACKFILLD_PIPELINE", str(opened / "pipeline.toml"))
    return opened


# ------------------------------------------------------------------------------------------------ validate


def test_processors_are_printed_in_rows_that_operators_know(command: CommandLine, filled: Path) -> None:
    printed = command("validate", OPENER, "2021-10-20")
    assert printed.code == 1
    assert "2021-10-19..2021-10-20: 2 of 2 dates expected, 2 of them in bootstrap" in printed.out
    assert printed.rows("⚠ nbac_team_boxscore") == [
        "⚠ nbac_team_boxscore 1/2 (50.0%) [CRITICAL] (1 NEVER RAN)"
    ]
    assert printed.rows("⚠ bdl_player_boxscores") == [
        "⚠ bdl_player_boxscores 1/2 (50.0%) [FALLBACK] (1 NEVER RAN)"
    ]
    # And phase 4 by the note that says why nothing is expected
    assert printed.rows("player_daily_cache") == [
        "– player_daily_cache 0/0 [CRITICAL] (2 dates in the season's bootstrap)"
    ]
    assert printed.rows("phase4 (") == ["phase4 (sequential): 0/0 dates ready, 2 in bootstrap"]


def test_a_date_that_is_there_is_ready(command: CommandLine, filled: Path) -> None:
    printed = command("validate", OPENER)
    assert (printed.code, printed.rows("next:")) == (
        0,
        ["next: nothing to do: 1 date expected, ready in every phase"],
    )
    assert printed.rows("✓ player_game_summary") == ["✓ player_game_summary 1/1 (100.0%) [CRITICAL]"]


def test_off_dates_are_listed_with_their_reason(command: CommandLine, stage: Path) -> None:
    printed = command("validate", "2021-10-15", "2021-10-19")
    assert printed.rows("off:") == ["off: 2021-10-15..2021-10-18: preseason: 2021-22 opens 2021-10-19"]
    assert printed.rows("1 date expected (4 off, 1 in bootstrap); ready: phase2 0/1, phase3 0/1, phase4 0/0")


def test_each_date_is_printed_with_its_missing_processors(command: CommandLine, filled: Path) -> None:
    printed = command("validate", OPENER, "2021-10-20", "--dates")
    assert printed.rows("2021-10-19 ready")
    assert printed.rows("2021-10-20 incomplete") == ["2021-10-20 incomplete ○ NEVER RAN: all 5"] * 2
    assert printed.rows("2021-10-20 bootstrap")


def test_a_short_table_and_a_failed_run_have_their_figures(command: CommandLine, few: Path) -> None:
    # Given a source with 2 of 4 rows, and one whose run failed
    date = dt.date.fromisoformat(OPENER)
    misbehaviour_switches.switch(few / "lake", "nbac_team_boxscore", date, "partial")
    misbehaviour_switches.switch(few / "lake", "bdl_player_boxscores", date, "fail_quietly")
    steps = json.loads(command("validate", OPENER, "--plan", "--json").out)["plan"]["phases"][0]["steps"]
    for step in steps:
        if step["processor"] in ("nbac_team_boxscore", "bdl_player_boxscores"):
            subprocess.run(step["shell"], shell=True, check=True, capture_output=True)
    printed = command("validate", OPENER, "--plan")
    assert printed.rows("⚠ nbac_team_boxscore") == [
        "⚠ nbac_team_boxscore 0/1 (0.0%) [CRITICAL] (partial: 2 of 4 rows)"
    ]
    (failed,) = printed.rows("✗ bdl_player_boxscores")
    assert "(ran but FAILED: " in failed
    # And the plan gives the same reasons
    assert printed.rows("# ", "nbac_team_boxscore 2021-10-19: partial: 2 of 4 rows")
    assert printed.rows("# ", "bdl_player_boxscores 2021-10-19: failed: ")


# ---------------------------------------------------------------------------------------------------- plan


def test_the_plan_s_own_lines_fill_a_date(command: CommandLine, filled: Path) -> None:
    # Given a lake that only the plan's printed lines have written to
    printed = command("validate", OPENER, "--plan")
    assert printed.rows("# plan for") == [
        "# plan for 2021-10-19..2021-10-19, sources all: 0 steps to run; 1 of 1 expected dates finish"
    ]
    assert not printed.rows("(cd ")


def test_steps_come_in_order_with_what_they_wait_for(command: CommandLine, stage: Path) -> None:
    printed = command("validate", OPENER, "--plan")
    heads = printed.rows("# phase")
    assert heads == [
        "# phase2 (parallel): 5 steps, unknown time",
        "# phase3 (parallel): 5 steps, unknown time",
    ]
    assert printed.rows("# after", "team_offense_game_summary") == [
        "# after 1, 2, 3, 4, 5, 7: phase2 of the same date; team_offense_game_summary"
    ]
    assert len(printed.rows("(cd ", "backfilld.demo.jobs.")) == 10
    assert printed.rows("# warehouse: 23 queries, free of charge")
    assert printed.rows("# durations come from the --state-dir of a daemon that ran the job")


def test_nothing_is_suggested_beyond_a_hole_before_the_range(command: CommandLine, stage: Path) -> None:
    printed = command("validate", DAY, "--plan")
    assert printed.rows("blocked by 2021-10-19, which lacks player_game_summary (never_ran)")
    assert printed.rows("blocked by 4 more earlier dates: 2021-10-22..2021-10-25")
    assert printed.rows("# stays undone in phase4: 2021-10-26: 2021-10-19 lacks player_game_summary")
    assert not printed.rows("(cd ", "zone_analysis")


def test_a_script_that_is_empty_is_not_suggested(command: CommandLine, few: Path) -> None:
    script = few / "empty.py"
    script.write_text("")
    path = few / "pipeline.toml"
    text = path.read_text()
    path.write_text(text.replace('"-m", "backfilld.demo.jobs.nbac_team_boxscore"', '"empty.py"'))
    printed = command("validate", OPENER, "--plan")
    assert printed.rows("# stays undone in phase2", f"the script {script} is empty")
    assert not printed.rows("(cd ", "empty.py")


def test_sources_choose_the_sources_and_imply_the_plan(command: CommandLine, stage: Path) -> None:
    printed = command("validate", OPENER, "--sources", "critical")
    assert printed.rows("# phase2 (parallel): 2 steps")
    assert printed.rows("# waives", "bettingpros_player_points_props")


def test_the_choices_stand_side_by_side(command: CommandLine, stage: Path) -> None:
    printed = command("validate", OPENER, "--compare")
    assert printed.rows("sources all") == ["sources all critical none"]
    assert printed.rows("steps") == ["steps 10 7 0"]
    assert printed.rows("phase2 afterwards") == ["phase2 afterwards 5/5 (100.0%) 2/5 (40.0%) 0/5 (0.0%)"]
    assert printed.rows("phase3 afterwards") == ["phase3 afterwards 5/5 (100.0%) 5/5 (100.0%) 0/5 (0.0%)"]
    assert printed.rows("dates done") == ["dates done 1/1 1/1 0/1"]
    assert printed.rows("none: phase2 of 2021-10-19 stays undone")


def test_its_json_carries_plan_and_comparison(command: CommandLine, stage: Path) -> None:
    printed = json.loads(command("validate", OPENER, "--sources", "none", "--compare", "--json").out)
    assert (printed["ready"], printed["plan"]["sources"]) == (False, "none")
    assert [option["steps"] for option in printed["comparison"]["options"]] == [10, 7, 0]


# --------------------------------------------------------------------------------- what a daemon remembers


def test_a_daemon_s_accepted_gaps_count_and_its_times_are_the_plan_s(command: CommandLine, few: Path) -> None:
    # Given a state database in which a gap of the opener was accepted
    date = dt.date.fromisoformat(OPENER)
    state = few / "state"
    state.mkdir()
    db = Database(f"sqlite:///{state / 'state.db'}")
    db.upgrade()
    with db.write() as tx:
        checks.accept(tx, date, "nbac_team_boxscore", actor="ann", reason="lost", now=time.time())
    pipeline = load_pipeline(few / "pipeline.toml")
    assert (
        state_lookup.known_checks(db, pipeline, date, date)[date]["nbac_team_boxscore"].accepted_by == "ann"
    )
    assert set(state_lookup.typical_seconds(db, pipeline).values()) == {None}
    db.close()
    # When
    with_it = command("validate", OPENER, "--plan", "--dates", "--state-dir", state)
    without = command("validate", OPENER, "--plan")
    # Then no step of the plan fills it
    assert len(without.rows("(cd ", "nbac_team_boxscore")) == 1
    assert not with_it.rows("(cd ", "nbac_team_boxscore")


def test_a_waived_output_is_shown_and_its_date_is_ready(
    command: CommandLine, filled: Path, tmp_path: Path
) -> None:
    # Given a date that lacks one output, which an operator has accepted
    date, state = dt.date.fromisoformat(OPENER), tmp_path / "state"
    state.mkdir()
    copy = shutil.copytree(filled, tmp_path / "demo")
    shutil.rmtree(next(copy.rglob(f"nbac_team_boxscore/*={OPENER}")))
    db = Database(f"sqlite:///{state / 'state.db'}")
    db.upgrade()
    with db.write() as tx:
        checks.accept(tx, date, "nbac_team_boxscore", actor="ann", reason="lost", now=time.time())
    db.close()
    # Then it is marked with and without its waiver, which makes its date ready
    for options, code in (((), 1), (("--state-dir", state), 0)):
        printed = command("validate", OPENER, "--pipeline", copy / "pipeline.toml", *options)
        assert printed.rows("○ nbac_team_boxscore", "ran, no data found")
        assert printed.code == code


# ----------------------------------------------------------------------------------------------- preflight


def test_preflight_of_what_is_there_is_ready(command: CommandLine, filled: Path, tmp_path: Path) -> None:
    printed = command("preflight", OPENER, "--state-dir", tmp_path)
    assert printed.code == 0, printed.out
    assert printed.rows("ready: 18 pass")
    assert [line for line in printed.out.splitlines() if line and not line.startswith(" ")][:6] == [
        "pipeline",
        "daemon",
        "jobs",
        "warehouse",
        "data",
        "trial",
    ]
    assert printed.rows("✓ dry runs", "nbac_gamebook_player_stats --dry-run exited with 0")


# ------------------------------------------------------------------------------------------------- quality


def test_rows_below_their_standard_are_listed_by_date(command: CommandLine, few: Path) -> None:
    # Given a processor that wrote rows of poor quality
    date = dt.date.fromisoformat(OPENER)
    misbehaviour_switches.switch(few / "lake", "upcoming_team_game_context", date, "degraded")
    steps = json.loads(command("validate", OPENER, "--plan", "--json").out)["plan"]["phases"]
    needed = ("nbac_gamebook_player_stats", "nbac_team_boxscore", "upcoming_team_game_context")
    for step in (step for phase in steps for step in phase["steps"] if step["processor"] in needed):
        subprocess.run(step["shell"], shell=True, check=True, capture_output=True)
    # When
    printed = command("quality", OPENER)
    # Then
    assert printed.code == 1
    assert printed.rows("⚠ upcoming_team_game_context: 0 of 4 rows hold completeness_percentage >= 95 (0.0%)")
    assert printed.rows("2021-10-19 ⚠ degraded: 0 of 4 rows")
    assert printed.rows("– player_shot_zone_analysis: no rows")
    assert printed.rows("no quality standard configured: nbac_gamebook_player_stats")


def test_good_rows_are_a_0(command: CommandLine, filled: Path) -> None:
    printed = command("quality", OPENER)
    assert printed.code == 0
    assert printed.rows("✓ upcoming_team_game_context: 4 of 4 rows hold", "(100.0%)")
    assert json.loads(command("quality", OPENER, "--json").out)["good"] is True


def test_without_rows_there_is_nothing_to_check(command: CommandLine, stage: Path) -> None:
    printed = command("quality", OPENER)
    assert (printed.code, printed.rows("there are no rows to check")) == (
        0,
        ["2021-10-19..2021-10-19: there are no rows to check"],
    )
