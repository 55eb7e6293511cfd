"""The pipeline files of docs/shapes.md are what they say."""

import datetime as dt
import re
import tomllib

import pytest

from backfilld.daemon.adapters import parse_pipeline
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.rules.season_calendar import Day
from tests.documents import ROOT

TEXT = (ROOT / "docs" / "shapes.md").read_text(encoding="utf-8")
TABLES = [
    tomllib.loads(block) for block in re.findall(r"^```toml\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
]
MONDAY = dt.date(2024, 5, 6)


def shape(name: str) -> Pipeline:
    return parse_pipeline(next(table for table in TABLES if table["name"] == name), ROOT / "pipeline.toml")


def needed(file: Pipeline, name: str) -> dict[str, int]:
    """How many days back a processor needs others on a Monday."""
    return {of: (MONDAY - span.first).days for of, span in file.needs.needs(name, MONDAY)}


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table["name"])
def test_every_file_is_short_and_without_mistakes(table):
    assert parse_pipeline(table, ROOT / "pipeline.toml").processors


def test_the_shops_tables_wait_for_what_they_read():
    file = shape("shop")
    assert needed(file, "month_to_date") == {"sales": 5}
    assert needed(file, "weekly_report") == {"sales": 7}
    report = file.processors["weekly_report"]
    expected = [n for n in range(7) if file.expects(report, Day(date=MONDAY + dt.timedelta(days=n)))]
    assert expected == [0]


def test_the_balance_needs_all_its_dates_since_the_first():
    assert needed(shape("bank"), "balance") == {"bookings": 0, "balance": (MONDAY - dt.date(2024, 1, 1)).days}


def test_sessions_read_three_days_and_the_report_one():
    file = shape("events")
    assert needed(file, "sessions") == {"events": 2}
    assert needed(file, "daily_report") == {"events": 0}
