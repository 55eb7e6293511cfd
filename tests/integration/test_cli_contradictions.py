"""`validate` of a range whose calendar, seasons and tables contradict each other is no success."""

import datetime as dt
from pathlib import Path

import pytest

from tests.integration.command_line import CommandLine
from tests.integration.warehouses import LakeHouse

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


def test_rows_on_a_date_that_the_calendar_lacks_are_named_and_exit_with_1(
    lake_house: LakeHouse, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("BACKFILLD_STATE_DIR", raising=False)
    # Given rows on three dates, of which the calendar has two
    first, last = dt.date(2021, 10, 19), dt.date(2021, 10, 21)
    for days in range(3):
        lake_house.put("nba.box", [{"day": first + dt.timedelta(days=days), "game_id": "g"}], by="day")
    path = lake_house.root.parent / "pipeline.toml"
    path.write_text(PIPELINE)
    path.with_name("calendar.csv").write_text(f"date,games\n{first},6\n{last},6\n")
    printed = CommandLine(monkeypatch, capsys)("validate", str(first), str(last), "--pipeline", str(path))
    # Then all that is expected is there, and yet that is no success
    assert printed.rows("unexpected rows: box has 1 row on 2021-10-20")
    assert printed.code == 1
