"""`expect blind` and `expect suggest` as an operator meets them: command line, API and metric."""

import datetime as dt
from pathlib import Path

import pytest

from tests.integration.api_world import OPENER, make_api
from tests.integration.command_line import CommandLine
from tests.scratch_duckdb import scratch

FILE = """
name = "shop"
[warehouse]
kind = "lake"
path = "lake"
[calendar]
file = "calendar.csv"
[[phase]]
name = "raw"
[[phase.processor]]
name = "orders"
table = "shop.orders"
command = ["true", "{date}"]
expect.rows = [1]
"""
DATES = [dt.date(2024, 1, 1) + dt.timedelta(days=number) for number in range(90)]


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> CommandLine:
    """A lake of three months, with 20 orders or so for each of two to six shops a day."""
    path = tmp_path / "pipeline.toml"
    path.write_text(FILE)
    shops = {date: 2 + date.day % 5 for date in DATES}
    lines = [f"{date},{count}" for date, count in shops.items()]
    (tmp_path / "calendar.csv").write_text("\n".join(["date,shops", *lines]))
    table = tmp_path / "lake" / "shop" / "orders"
    table.mkdir(parents=True)
    with scratch() as connection:
        for date, count in shops.items():
            (table / f"date={date}").mkdir()
            rows = f"SELECT n FROM range({20 * count + date.day % 2}) AS r (n)"
            connection.execute(f"COPY ({rows}) TO '{table}/date={date}/part-0.parquet' (FORMAT parquet)")
    monkeypatch.setenv("BACKFILLD_PIPELINE", str(path))
    return CommandLine(monkeypatch, capsys)


def test_blindness_is_told_and_can_fail_a_build(command: CommandLine) -> None:
    printed = command("expect", "blind", "2024-01-01", "2024-03-30")
    assert printed.code == 0
    assert printed.rows(
        "orders: 100 % of damages pass on 90 complete dates; no loss of rows is seen reliably"
    )
    assert printed.rows("100 % pass one of the calendar's units is missing, such as one game of ten")
    assert command("expect", "blind", "2024-01-01", "2024-03-30", "--fail-above", "0.5").code == 1
    assert command("expect", "blind", "2024-01-01", "2024-03-30", "--fail-above", "1").code == 0


def test_proposed_rules_can_be_pasted_and_see_more(command: CommandLine, tmp_path: Path) -> None:
    printed = command("expect", "suggest", "2024-01-01", "2024-03-30")
    assert printed.code == 0
    rules = [line for line in printed.out.splitlines() if line.startswith("expect.")]
    assert "expect.rows_per = { shops = [20, 21] }" in rules
    path = tmp_path / "pipeline.toml"
    path.write_text(FILE + "\n".join(rules))
    assert command("expect", "blind", "2024-01-01", "2024-03-30", "--fail-above", "0.5").code == 0


def test_a_month_is_too_short_to_propose_anything(command: CommandLine) -> None:
    printed = command("expect", "suggest", "2024-01-01", "2024-01-31")
    assert printed.rows("# orders: history is too short: 31 complete dates, at least 40 in two months")


def test_the_api_answers_blindness_and_the_metric_keeps_it(tmp_path: Path) -> None:
    api = make_api(tmp_path)
    api.world.fill("box", OPENER)
    told = api.get("/v1/expectations/blindness?start=2021-10-19&end=2021-10-20")
    (box, *_) = told["processors"]
    assert (box["processor"], box["dates"]) == ("box", 1)
    assert 0 < box["blind_ratio"] <= 1
    assert {damage["damage"] for damage in box["damages"]} >= {"rows_doubled", "column_emptied"}
    assert api.scrape()['backfilld_blind_ratio{processor="box"}'] == box["blind_ratio"]
