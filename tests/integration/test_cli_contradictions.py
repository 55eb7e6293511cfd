"""`validate` of a range whose calendar, seasons and tables contradict each other is no success."""

from pathlib import Path

import pytest

from tests.integration.command_line import CommandLine

PIPELINE = """
name = "small"
warehouse = { kind = "lake", path = "lake" }
calendar = { file = "calendar.csv", season = [{ name = "s", opens = 2021-10-19, closes = 2022-06-16 }] }
phase = [{ name = "raw", processor = [
    { name = "box", table = "nba.box", date_column = "day", command = ["true", "{date}"] },
] }]
"""


def test_a_range_with_games_in_no_season_names_its_dates_and_exits_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given two weeks of games before the season of the file opens
    monkeypatch.delenv("BACKFILLD_STATE_DIR", raising=False)
    path = tmp_path / "pipeline.toml"
    path.write_text(PIPELINE)
    (tmp_path / "lake").mkdir()
    days = [f"2021-10-{day:02},6" for day in range(4, 18)]
    (tmp_path / "calendar.csv").write_text("\n".join(["date,games", *days, ""]))
    # When they are validated
    printed = CommandLine(monkeypatch, capsys)(
        "validate", "2021-10-04", "2021-10-17", "--pipeline", str(path)
    )
    # Then nothing is expected, and that is no success
    assert printed.code == 1
    assert printed.rows("0 of 14 dates expected")
    assert printed.rows("warning: 14 dates have counts", "outside of all seasons: 2021-10-04..2021-10-17")
    assert printed.rows("next: correct calendar.season")
