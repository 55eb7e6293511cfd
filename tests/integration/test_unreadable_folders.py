"""What is asked of folders that may not be entered: an answer that names them, and no traceback."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from backfilld.state.store.database import Database
from tests.integration.command_line import CommandLine
from tests.permissions import without_root_file_access

DAY = "2021-10-19"
PIPELINE = """
name = "small"
warehouse = { kind = "lake", path = "closed/lake" }
calendar.season = [{ name = "2021-22", opens = 2021-10-19, closes = 2022-06-16 }]
[[phase]]
name = "raw"
processor = [{ name = "box", table = "nba.box", date_column = "day", command = ["box"], cwd = "closed/jobs" }]
[[phase]]
name = "late"
processor = [{ name = "line", table = "nba.line", date_column = "day", command = ["python3", "closed/x.py"] }]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder with a pipeline, a state database, and a folder of much else that is closed."""
    (tmp_path / "small.toml").write_text(PIPELINE)
    database = Database(f"sqlite:///{tmp_path / 'state.db'}")
    database.upgrade()
    database.close()
    closed = tmp_path / "closed"
    for name in ("lake", "jobs", "state"):
        (closed / name).mkdir(parents=True)
    (closed / "x.py").write_text("print()")
    closed.chmod(0)
    with without_root_file_access():
        yield tmp_path
    closed.chmod(0o700)


@pytest.fixture
def command(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    monkeypatch.setenv("BACKFILLD_PIPELINE", str(folder / "small.toml"))
    monkeypatch.delenv("BACKFILLD_STATE_DIR", raising=False)
    return CommandLine(monkeypatch, capsys)


def test_preflight_names_each_folder_that_may_not_be_entered(command: CommandLine, folder: Path) -> None:
    told = command("preflight", DAY, "--quick", "--state-dir", folder / "closed/state")
    assert told.code == 1
    assert told.rows(f"box: its working directory {folder}/closed/jobs does not exist or may not be reached")
    assert told.rows(f"line: the script {folder}/closed/x.py does not exist or may not be reached")
    assert told.rows("✗ state database", f"{folder}/closed/state/state.db: Permission denied")
    assert told.rows(f"there is no lake at {folder}/closed/lake, or it may not be reached")
    assert told.rows(f"free for {folder}/closed/state")


@pytest.mark.parametrize("words", ["validate 2021-10-19", "backup", "backup ."])
def test_a_state_database_that_cannot_be_seen_is_told_so(
    command: CommandLine, folder: Path, words: str
) -> None:
    told = command(*words.split(), "--state-dir", folder / "closed/state")
    assert (told.code, told.out) == (1, "")
    assert f"backfilld: {folder}/closed/state" in told.err
    assert "Permission denied" in told.err


def test_a_lake_that_may_not_be_reached_is_no_answer(command: CommandLine, folder: Path) -> None:
    told = command("validate", DAY)
    assert (told.code, told.out) == (1, "")
    assert "the warehouse could not be queried: there is no lake at" in told.err


@pytest.mark.parametrize("target", ["closed", "closed/copy.db"])
def test_a_backup_that_cannot_be_written_is_told_so(command: CommandLine, folder: Path, target: str) -> None:
    told = command("backup", folder / target, "--state-dir", folder)
    assert (told.code, told.out) == (1, "")
    assert f"backup to {folder}/closed" in told.err
    assert "Permission denied" in told.err


def test_a_backup_without_room_is_a_failed_operation_and_no_wrong_usage(
    command: CommandLine, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = shutil.disk_usage(folder)._replace(free=1)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full)
    told = command("backup", folder, "--state-dir", folder)
    assert (told.code, told.out) == (1, "")
    assert "make room" in told.err
    # But a target that cannot be meant is wrong usage
    told = command("backup", folder / "state.db", "--state-dir", folder)
    assert told.code == 2
    assert "is the database itself; name another file" in told.err


@pytest.mark.parametrize("inside", ["", "/demo"])
def test_a_demo_in_a_folder_that_may_not_be_entered_is_told_so(
    command: CommandLine, folder: Path, inside: str
) -> None:
    told = command("demo", "--folder", f"{folder}/closed{inside}", "--listen", "127.0.0.1:9")
    assert (told.code, told.out) == (2, "")
    assert "Invalid value for --folder:" in told.err
    assert "Permission denied" in told.err
    assert "name another folder" in told.err
