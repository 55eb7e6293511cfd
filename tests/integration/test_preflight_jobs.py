"""Preflight reads a checkout of the platform, and says which of its jobs would do nothing, or harm."""

import datetime as dt
import itertools
import shutil
import sys
from pathlib import Path

import pytest

from backfilld.daemon.preflight.checklist import GROUPS, Preflight, Result, preflight
from tests.checkout import END, START, Checkout, Tables, make
from tests.factories import NOW
from tests.fake_warehouse import FakeWarehouse

GAMES = {START + dt.timedelta(days=n): 8 for n in range(10)}
OFFENSE, PLAYERS, TEAMS = "team_offense_game_summary", "player_game_summary", "nbac_team_boxscore"


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return make(tmp_path)


def asked(checkout: Checkout, *, quick: bool = True) -> Preflight:
    """What preflight says while the warehouse is whole."""
    facts = FakeWarehouse(checkout.pipeline, calendar=GAMES)
    facts.fill(checkout.pipeline.processors, GAMES)
    tables = Tables(checkout.pipeline)
    return preflight(checkout.path, now=NOW, start=START, end=END, quick=quick, opened=(facts, tables))


def result(told: Preflight, check: str) -> Result:
    return next(one for one in told.results if one.check == check)


def troubles(told: Preflight, check: str) -> list[tuple[str, str, str]]:
    """Status, line and place of what a check found to be wrong."""
    found = result(told, check).findings
    return [(f.status.value, f.line, f.where) for f in found if f.status.value in ("warn", "fail")]


def test_a_good_checkout_is_ready(checkout: Checkout) -> None:
    told = asked(checkout)
    assert {one.check: one.status.value for one in told.results if one.status.value != "pass"} == {
        "state": "skip",
        "disk": "skip",
        "dry-run": "skip",
    }
    assert told.exit_code == 0
    # And the checks of this kind of warehouse come with those of every kind
    names = {group: [check.name for check in checks] for group, checks in GROUPS.items()}
    names["warehouse"] += ["location", "datasets", "partitions"]
    assert [one.check for one in told.results] == ["configuration", *itertools.chain(*names.values())]


def test_an_empty_script_is_critical_though_running_it_exits_0(checkout: Checkout) -> None:
    checkout.write(OFFENSE, "")
    told = asked(checkout)
    script = checkout.script(OFFENSE)
    assert troubles(told, "programs") == [("fail", f"{OFFENSE}: the script {script} is empty", str(script))]
    assert told.exit_code == 1


def test_a_script_that_is_not_there_is_critical(checkout: Checkout) -> None:
    checkout.script(PLAYERS).unlink()
    (trouble,) = troubles(asked(checkout), "programs")
    assert trouble[:2] == (
        "fail",
        f"{PLAYERS}: the script {checkout.script(PLAYERS)} does not exist or may not be reached",
    )


def test_a_script_that_does_not_compile_is_named_with_its_line(checkout: Checkout) -> None:
    checkout.spoil(PLAYERS, "import sys", "import sys\ndef broken(:")
    (trouble,) = troubles(asked(checkout), "compiling")
    assert trouble == (
        "fail",
        f"{PLAYERS}: does not compile: invalid syntax",
        f"{checkout.script(PLAYERS)}:4",
    )


def test_a_script_that_does_not_take_an_option_is_named_with_those_it_takes(checkout: Checkout) -> None:
    # Given the team boxscore's scraper, which knows no end date
    checkout.spoil(TEAMS, '    parser.add_argument("--end-date")\n', "")
    told = asked(checkout)
    (trouble,) = troubles(told, "options")
    assert trouble == ("fail", f"{TEAMS}: does not take --end-date", str(checkout.script(TEAMS)))
    (finding,) = [f for f in result(told, "options").findings if f.status.value == "fail"]
    assert finding.hint == "it takes --dry-run, --help, --start-date"
    assert told.exit_code == 1


def test_underscores_are_another_option(checkout: Checkout) -> None:
    checkout.spoil("bigdataball_play_by_play", "--start-date", "--start_date")
    checkout.spoil("bigdataball_play_by_play", "--end-date", "--end_date")
    lines = [line for _, line, _ in troubles(asked(checkout), "options")]
    assert lines == [
        "bigdataball_play_by_play: does not take --start-date",
        "bigdataball_play_by_play: does not take --end-date",
    ]


def test_the_beginning_of_an_option_is_taken_but_not_praised(checkout: Checkout) -> None:
    checkout.spoil(TEAMS, '"--end-date"', '"--end-date-inclusive"')
    (trouble,) = troubles(asked(checkout), "options")
    assert trouble[:2] == (
        "warn",
        f"{TEAMS}: --end-date is taken only as the beginning of --end-date-inclusive",
    )


@pytest.mark.parametrize(
    ("written", "status"),
    [
        ('opts = {"skip_downstream_trigger": True}', None),
        ("opts = dict(skip_downstream_trigger=True)", None),
        ('opts = {}; opts["skip_downstream_trigger"] = True', None),
        ("opts = {}  # skip_downstream_trigger: True", "is not set to True"),
        ('opts = {"text": "skip_downstream_trigger: True"}', "is not set to True"),
        ('opts = {"skip_downstream_trigger": False}', "is set, but not to True"),
        ('opts = {"skip_downstream_trigger": args.dry_run}', "is set, but not to True"),
        ('opts = {"skip_downstream_trigger": 1}', "is set, but not to True"),
        ('opts = {"skip_downstream_trigger": "True"}', "is set, but not to True"),
    ],
)
def test_the_skip_option_counts_only_where_it_is_really_set(
    checkout: Checkout, written: str, status: str | None
) -> None:
    checkout.spoil(OFFENSE, 'opts = {"backfill_mode": True, "skip_downstream_trigger": True}', written)
    told = asked(checkout)
    if status is None:
        assert troubles(told, "requires") == []
        return
    (trouble,) = troubles(told, "requires")
    assert trouble[:2] == ("fail", f"{OFFENSE}: skip_downstream_trigger {status}")
    assert trouble[2].startswith(f"{checkout.script(OFFENSE)}:")
    assert told.exit_code == 1


def test_the_skip_option_that_is_true_here_and_false_there_is_a_warning(checkout: Checkout) -> None:
    checkout.spoil(OFFENSE, "    print(", '    opts["skip_downstream_trigger"] = False\n    print(')
    (trouble,) = troubles(asked(checkout), "requires")
    assert trouble[0] == "warn"
    assert trouble[1].startswith(f"{OFFENSE}: skip_downstream_trigger is True in line")


def test_a_missing_checkout_is_reported_once_for_all_jobs(checkout: Checkout) -> None:
    shutil.rmtree(checkout.root)
    ((_, line, _),) = troubles(asked(checkout), "programs")
    assert line.endswith(
        f" and 11 more: its working directory {checkout.root} does not exist or may not be reached"
    )


def test_an_interpreter_that_is_not_there_is_told(checkout: Checkout) -> None:
    (checkout.root / ".venv" / "bin" / "python").unlink()
    found = troubles(asked(checkout), "programs")
    assert {line.partition(": ")[2] for _, line, _ in found} == {
        "the program .venv/bin/python does not exist or cannot be executed"
    }


# ---------------------------------------------------------------------------------------- options by --help


def test_options_that_the_text_does_not_show_are_asked_for_by_help(checkout: Checkout) -> None:
    # Given a script whose options come from a module of its own
    common = checkout.root / "shared_options.py"
    common.write_text(
        "import argparse\n"
        "def parser():\n"
        "    made = argparse.ArgumentParser()\n"
        "    for name in ('start', 'end'):\n"
        "        made.add_argument(f'--{name}-date')\n"
        "    return made\n"
    )
    checkout.write(TEAMS, "import shared_options\nshared_options.parser().parse_args()\n")
    # Then its own --help tells them
    assert troubles(asked(checkout), "options") == []


def test_an_option_that_help_does_not_know_is_critical(checkout: Checkout) -> None:
    parser = "import argparse\nmade = argparse.ArgumentParser()\nmade.add_argument('--start-date')\n"
    (checkout.root / "shared_options.py").write_text(parser)
    checkout.write(TEAMS, "import shared_options\nshared_options.made.parse_args()\n")
    (trouble,) = troubles(asked(checkout), "options")
    assert trouble[:2] == ("fail", f"{TEAMS}: does not take --end-date")


def test_the_options_of_a_subcommand_are_those_of_its_own_help(checkout: Checkout) -> None:
    # Given a script with a subcommand, which alone takes the dates
    old = checkout.script(TEAMS).relative_to(checkout.root).as_posix()
    text = checkout.path.read_text().replace(f'"{old}"', f'"{old}", "load"')
    checkout.path.write_text(text)
    checkout.write(
        TEAMS,
        "import argparse\n"
        "parser = argparse.ArgumentParser()\n"
        "load = parser.add_subparsers().add_parser('load')\n"
        "load.add_argument('--start-date')\n"
        "load.add_argument('--end-date')\n"
        "parser.parse_args()\n",
    )
    assert troubles(asked(checkout), "options") == []


def test_a_script_that_may_not_know_help_is_never_run(checkout: Checkout, tmp_path: Path) -> None:
    # Given a script that reads sys.argv by hand, and would begin its work on --help
    trace = tmp_path / "it-ran"
    checkout.write(TEAMS, f"import sys\nopen({str(trace)!r}, 'w').write(' '.join(sys.argv))\n")
    found = troubles(asked(checkout), "options")
    assert [status for status, _, _ in found] == ["warn"]
    assert found[0][1] == (
        f"{TEAMS}: whether it takes --start-date, --end-date is unknown: its --help cannot be read"
    )
    assert not trace.exists()


def test_a_script_that_hangs_on_help_is_ended(checkout: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backfilld.daemon.preflight.job_script_options.HELP_SECONDS", 1.0)
    checkout.write(TEAMS, "import argparse, time\ntime.sleep(600)\nargparse.ArgumentParser().parse_args()\n")
    assert {status for status, _, _ in troubles(asked(checkout), "options")} == {"warn"}


# ------------------------------------------------------------------------------------------------- dry runs


def test_one_job_of_each_phase_is_tried_dry(checkout: Checkout) -> None:
    lines = [f.line for f in result(asked(checkout, quick=False), "dry-run").findings]
    assert lines == [
        "nbac_gamebook_player_stats --dry-run exited with 0",
        "player_game_summary --dry-run exited with 0",
        "team_defense_zone_analysis --dry-run exited with 0",
    ]


def test_a_dry_run_that_fails_tells_the_last_line(checkout: Checkout) -> None:
    checkout.spoil(PLAYERS, "    print(", "    sys.exit('no module named shared')\n    print(")
    (trouble,) = troubles(asked(checkout, quick=False), "dry-run")
    assert trouble[:2] == (
        "fail",
        "player_game_summary --dry-run exited with 1: no module named shared",
    )


def test_a_job_that_takes_no_dry_run_is_not_tried(checkout: Checkout, tmp_path: Path) -> None:
    trace = tmp_path / "it-ran"
    for name in ("nbac_gamebook_player_stats", PLAYERS):
        checkout.spoil(name, '    parser.add_argument("--dry-run", action="store_true")\n', "")
        checkout.spoil(name, "    opts =", f"    open({str(trace)!r}, 'w')\n    opts =")
    lines = [f.line for f in result(asked(checkout, quick=False), "dry-run").findings]
    assert lines[:2] == [
        "nbac_team_boxscore --dry-run exited with 0",
        "team_defense_game_summary --dry-run exited with 0",
    ]
    assert not trace.exists()


def test_dry_run_and_parallel_never_go_together(checkout: Checkout) -> None:
    text = checkout.path.read_text().replace('"--no-resume"]', '"--no-resume", "--parallel"]')
    checkout.path.write_text(text)
    for name in checkout.pipeline.processors:
        checkout.spoil(
            name, "    args =", '    parser.add_argument("--parallel", action="store_true")\n    args ='
        )
    told = result(asked(checkout, quick=False), "dry-run").findings
    assert [(f.status.value, f.line.partition(":")[0]) for f in told] == [
        ("pass", "nbac_gamebook_player_stats --dry-run exited with 0"),
        ("skip", "phase3"),
        ("skip", "phase4"),
    ]


def test_quick_leaves_the_dry_runs_out(checkout: Checkout) -> None:
    (finding,) = result(asked(checkout, quick=True), "dry-run").findings
    assert (finding.status.value, finding.line) == ("skip", "left out by --quick")


# ---------------------------------------------------------------------------------------- other ways to start


def test_a_module_is_found_without_importing_it(checkout: Checkout, tmp_path: Path) -> None:
    # Given a package whose import leaves a trace
    trace = tmp_path / "imported"
    package = checkout.root / "platform_jobs" / "raw"
    package.mkdir(parents=True)
    for folder in (package.parent, package):
        (folder / "__init__.py").write_text(f"open({str(trace)!r}, 'w')\n")
    shutil.copy(checkout.script(TEAMS), package / "teams.py")
    old = '"backfill_jobs/raw/nbac_team_boxscore/nbac_team_boxscore_backfill_job.py"'
    text = checkout.path.read_text().replace(old, '"-m", "platform_jobs.raw.teams"')
    checkout.path.write_text(text)
    # Then it is found and read, and nothing of it has run
    told = asked(checkout)
    assert troubles(told, "programs") == []
    assert troubles(told, "options") == []
    assert not trace.exists()
    # And a module that is not there is told
    (package / "teams.py").unlink()
    (trouble,) = troubles(asked(checkout), "programs")
    assert trouble[1].startswith(f"{TEAMS}: the module platform_jobs.raw.teams is neither in")


def test_a_file_that_cannot_be_used_is_the_only_thing_told(tmp_path: Path) -> None:
    path = tmp_path / "pipeline.toml"
    path.write_text('name = "nba"\nphases = 3\n')
    told = preflight(path, now=NOW)
    assert [one.check for one in told.results] == ["configuration"]
    assert told.exit_code == 1
    assert told.results[0].findings[0].where == str(path)


def test_its_own_interpreter_is_not_asked_for_a_second_opinion(checkout: Checkout) -> None:
    text = checkout.path.read_text().replace('".venv/bin/python"', '"{python}"')
    checkout.path.write_text(text)
    checkout.spoil(PLAYERS, "import sys", "import sys\nif:")
    assert sys.executable
    (trouble,) = troubles(asked(checkout), "compiling")
    assert trouble[1] == f"{PLAYERS}: does not compile: invalid syntax"
