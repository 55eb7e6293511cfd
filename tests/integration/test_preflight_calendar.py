"""Preflight looks at the calendar: does it know the seasons, and has it gaps."""

import datetime as dt
from collections.abc import Mapping
from pathlib import Path

import pytest

from backfilld.daemon.warehouses.adapter import WarehouseError
from backfilld.state.rules.season_calendar import days_key
from tests.checkout import END, START, make
from tests.integration.preflight_fixture import GAMES, Ground, statuses, troubles


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return Ground(make(tmp_path))


def test_a_range_without_expected_dates_is_critical(ground: Ground) -> None:
    ground.facts.calendar = {}
    told = ground.ask()
    assert troubles(told, "calendar") == [("fail", "no date from 2021-11-15 to 2021-11-24 is expected")]
    assert statuses(told)["data"] == "skip"


def test_a_refused_query_of_the_calendar_is_what_to_correct(ground: Ground) -> None:
    def refused(*ends: dt.date) -> Mapping[dt.date, Mapping[str, int]]:
        raise WarehouseError("calendar.query was refused: no column d", hint="correct calendar.query")

    ground.facts.counts = refused  # type: ignore[method-assign]
    (result,) = [one for one in ground.ask().results if one.check == "calendar"]
    (finding,) = result.findings
    assert (finding.line, finding.hint) == (
        "calendar.query was refused: no column d",
        "correct calendar.query",
    )


def test_a_season_that_the_calendar_does_not_know_is_critical(ground: Ground) -> None:
    told = ground.ask(end=dt.date(2022, 12, 1))
    lines = [line for _, line in troubles(told, "calendar")]
    assert "the calendar knows no date of 2022-23 in the range" in lines
    assert "2021-22 closes 2022-06-16, the calendar's last date is 2021-11-24" in lines


def test_an_opener_without_games_is_a_warning(ground: Ground) -> None:
    told = ground.ask(start=dt.date(2021, 10, 15))
    assert troubles(told, "calendar") == [
        ("warn", "2021-22 opens 2021-10-19, the calendar's first date is 2021-11-15")
    ]


@pytest.mark.parametrize(
    ("asked", "missing"),
    [
        ({"start": dt.date(2021, 11, 7)}, "2021-11-07 to 2021-11-14"),
        ({"end": dt.date(2021, 12, 2)}, "2021-11-25 to 2021-12-02"),
    ],
)
def test_a_calendar_that_ends_within_the_range_is_a_warning(
    ground: Ground, asked: dict[str, dt.date], missing: str
) -> None:
    assert troubles(ground.ask(**asked), "calendar") == [
        ("warn", f"the calendar knows no date of 2021-22 from {missing}")
    ]


def test_a_break_in_the_calendar_that_no_season_has_is_a_warning(ground: Ground) -> None:
    ground.facts.calendar = {START: 8, END: 8}
    assert troubles(ground.ask(), "calendar") == [
        ("warn", "the calendar knows no date of 2021-22 from 2021-11-16 to 2021-11-23")
    ]


def test_a_break_as_long_as_the_all_star_games_is_none(ground: Ground) -> None:
    ground.facts.calendar = {START: 8, START + dt.timedelta(days=7): 8, END: 8}
    assert troubles(ground.ask(), "calendar") == []


def test_without_dates_all_seasons_are_looked_at(ground: Ground) -> None:
    told = ground.ask(start=None, end=None)
    lines = [line for _, line in troubles(told, "calendar")]
    assert "the calendar knows no date of 2024-25 in the range" in lines


def test_days_whose_query_names_no_date_are_a_warning(ground: Ground) -> None:
    ground.edit("[jobs]\n", '[[calendar.days]]\nname = "closing"\nquery = "SELECT"\n\n[jobs]\n')
    line = "the query of the days 'closing' names 0 dates of the range"
    assert troubles(ground.ask(), "calendar") == [("warn", line)]
    key = days_key("closing")
    ground.facts.counts = lambda start, end: {date: {"games": 8, key: 1} for date in GAMES}  # type: ignore[method-assign]
    assert troubles(ground.ask(), "calendar") == []
