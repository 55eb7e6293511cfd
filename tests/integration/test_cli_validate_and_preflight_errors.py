"""validate, preflight and quality of a small pipeline: where something is missing, wrong or locked."""

import json
from pathlib import Path

import pytest

from backfilld.state.store.database import Database
from tests.integration.command_line import CommandLine

OPENER = "2021-10-19"
SMALL = """
name = "small"
warehouse = { kind = "lake", path = "lake" }
calendar.season = [{ name = "2021-22", opens = 2021-10-19, closes = 2022-06-16 }]
phase = [{ name = "raw", processor = [
    { name = "box", table = "nba.box", date_column = "day", command = ["true", "{date}"] },
] }]
"""


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    monkeypatch.delenv("BACKFILLD_STATE_DIR", raising=False)
    return CommandLine(monkeypatch, capsys)


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pipeline of one processor on an empty lake."""
    (tmp_path / "pipeline.toml").write_text(SMALL)
    (tmp_path / "lake").mkdir()
    monkeypatch.setenv("BACKFILLD_PIPELINE", str(tmp_path / "pipeline.toml"))
    return tmp_path


def test_a_state_of_another_version_is_no_guess(command: CommandLine, small: Path) -> None:
    (small / "state.db").touch()
    printed = command("validate", OPENER, "--state-dir", small)
    assert printed.code == 1
    assert "start the daemon once, which upgrades it" in printed.err


def test_a_state_directory_without_a_database_is_reported(command: CommandLine, small: Path) -> None:
    printed = command("validate", OPENER, "--state-dir", small / "typo")
    assert printed.err == (
        f"no state database in {small}/typo: the attempts and waivers of the daemon are not included;"
        " correct --state-dir or leave it out\n"
    )
    assert printed.out == command("validate", OPENER).out


def test_the_state_is_read_while_it_is_written(command: CommandLine, small: Path) -> None:
    # Given a state database that another process is writing
    db = Database(f"sqlite:///{small / 'state.db'}")
    db.upgrade()
    with db.write():
        printed = command("validate", OPENER, "--plan", "--state-dir", small)
    db.close()
    # Then it is read as it was, at once
    assert (printed.code, printed.err) == (1, "")
    assert printed.rows("box", "NEVER RAN")


def test_a_lake_that_is_not_there_is_no_answer(command: CommandLine, small: Path) -> None:
    (small / "lake").rmdir()
    for words in (["validate", OPENER], ["quality", OPENER]):
        printed = command(*words)
        assert (printed.code, printed.out) == (1, "")
        assert "the warehouse could not be queried: " in printed.err


def test_preflight_with_warnings_is_a_2_and_quick_leaves_the_dry_runs_out(
    command: CommandLine, small: Path
) -> None:
    printed = command("preflight", OPENER, "--quick")
    assert printed.code == 2
    assert printed.rows("⚠ data so far", "raw: 0 of 1 date ready, 0.0 % complete")
    assert printed.rows("→ its jobs will run; --sources critical or none leaves them out")
    assert printed.rows("– dry runs", "left out by --quick")


def test_preflight_that_finds_something_critical_is_a_1(command: CommandLine, small: Path) -> None:
    (small / "lake").rmdir()
    printed = command("preflight", "--quick", "--json")
    report = json.loads(printed.out)
    assert (printed.code, report["exit_code"]) == (1, 1)
    groups = {one["check"]: one["group"] for one in report["results"]}
    assert (groups["warehouse"], groups["state"]) == ("warehouse", "daemon")


def test_preflight_of_a_bad_file_names_key_and_remedy(command: CommandLine, small: Path) -> None:
    path = small / "pipeline.toml"
    path.write_text(SMALL.replace("date_column", "date_colum"))
    printed = command("preflight")
    assert printed.code == 1
    assert printed.rows("✗ pipeline file", "did you mean 'date_column'?")


def test_preflight_of_a_file_that_is_not_there_names_the_option(command: CommandLine, small: Path) -> None:
    printed = command("preflight", "--pipeline", small / "typo.toml")
    assert printed.code == 1
    assert printed.rows("→ correct --pipeline or BACKFILLD_PIPELINE")
