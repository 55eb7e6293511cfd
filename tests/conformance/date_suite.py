"""What every warehouse must answer where the dates of rows are days of times."""

import datetime as dt
from typing import Any

import pytest

from backfilld.daemon.warehouses.adapter import WarehouseError
from backfilld.state.rules.expectations.aggregate_types import GroupCounts
from tests.conformance.builders import NEXT, rows
from tests.factories import phase, processor
from tests.integration.warehouses import DAY, House

NEW_YORK = "America/New_York"
EVENINGS = ["2021-10-26 03:59:59", "2021-10-26 04:00:00", "2021-10-27 03:59:59", "2021-10-27 04:00:00"]
"""Around two midnights of New York, which is four hours behind UTC on these days."""


def events(times: list[str], kind: str) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Rows with a time each, and the type of its column."""
    instants = [dt.datetime.fromisoformat(f"{time}+00:00") for time in times]
    return [{"made_at": instant, "n": 1} for instant in instants], {"made_at": kind}


def by_date(house: House, dates: list[dt.date], zone: str | None, **expect: Any) -> dict[dt.date, Any]:
    """The evidence of `nba.events`, by date."""
    keys = {} if zone is None else {"date_timezone": zone}
    raw = phase("raw", processor("events", date_column="made_at", expect=expect, **keys))
    answers = house.open(raw, history=None).evidence({"events": dates}, purpose="gate")
    return {date: found for (_, date), found in answers.items()}


class DateSuite:
    """The part of `WarehouseSuite` that concerns columns of the types TIMESTAMP and DATETIME."""

    @pytest.mark.parametrize(("zone", "counts"), [(NEW_YORK, [1, 2, 1]), ("UTC", [0, 2, 2])])
    def test_an_instant_is_of_the_day_that_it_is_in_the_zone(
        self, house: House, zone: str, counts: list[int]
    ) -> None:
        made, types = events(EVENINGS, "TIMESTAMP")
        house.put("nba.events", made, by=None, types=types)
        days = [DAY - dt.timedelta(days=1), DAY, NEXT]
        found = by_date(house, days, zone)
        assert [found[day].rows for day in days] == counts
        # Then alone, too
        assert by_date(house, [DAY], zone)[DAY].rows == 2

    def test_a_local_time_is_of_its_own_day_whatever_the_zone(self, house: House) -> None:
        made, types = events(
            ["2021-10-26 00:00:00", "2021-10-26 23:59:59", "2021-10-27 00:00:00"], "DATETIME"
        )
        house.put("nba.events", made, by=None, types=types)
        found = by_date(house, [DAY, NEXT], NEW_YORK)
        assert [found[day].rows for day in (DAY, NEXT)] == [2, 1]

    @pytest.mark.parametrize("kind", ["TIMESTAMP", "DATETIME"])
    def test_times_without_a_zone_for_them_are_an_error_and_not_absent(self, house: House, kind: str) -> None:
        made, types = events(["2021-10-26 19:00:00"], kind)
        house.put("nba.events", made, by=None, types=types)
        for days in ([DAY], [DAY, NEXT]):
            assert by_date(house, days, None)[DAY].error.startswith("nba.events: ")

    def test_a_day_of_25_hours_and_days_far_apart_are_whole(self, house: House) -> None:
        # Given the first and the last second of the day on which clocks went back, and one half a year later
        times = ["2021-11-07 03:59:59", "2021-11-07 04:00:00", "2021-11-08 04:59:59", "2021-11-08 05:00:00"]
        made, types = events([*times, "2022-05-01 12:00:00"], "TIMESTAMP")
        house.put("nba.events", made, by=None, types=types)
        long, far = dt.date(2021, 11, 7), dt.date(2022, 5, 1)
        found = by_date(house, [long, far], NEW_YORK, rows_each={"group_by": ["n"], "rows": [1, 1]})
        assert (found[long].rows, found[far].rows) == (2, 1)
        assert found[long].groups == GroupCounts(groups=1, too_small=0, too_large=1, smallest=2, largest=2)

    def test_tables_of_dates_and_of_times_are_answered_in_one_query(self, house: House) -> None:
        made, types = events(EVENINGS, "TIMESTAMP")
        house.put("nba.events", made, by=None, types=types)
        house.put("nba.box", rows(3))
        ratio = {"expect": {"ratio": {"of": "box"}}, "after": ["box"]}
        compared = processor("events", date_column="made_at", date_timezone=NEW_YORK, **ratio)
        both = phase("raw", processor("box", date_column="game_date"), compared)
        answers = house.open(both, history=None).evidence({"box": [DAY], "events": [DAY]}, purpose="gate")
        assert (answers["box", DAY].rows, answers["events", DAY].rows) == (3, 2)
        assert answers["events", DAY].reference == 3
        assert len(house.queries) == 1

    def test_a_calendar_of_times_is_refused_also_where_it_gives_nothing(self, house: House) -> None:
        made, types = events(["2021-10-26 19:00:00"], "DATETIME")
        house.put("nba.events", made, by=None, types=types)
        query = (
            "SELECT made_at AS date, COUNT(*) AS games FROM nba.events"
            " WHERE made_at BETWEEN @start AND @end GROUP BY 1"
        )
        with pytest.raises(WarehouseError, match=r"calendar\.query was refused: .*DATE") as refusal:
            house.open(phase("raw", processor("events")), calendar={"query": query}).counts(DAY, DAY)
        assert refusal.value.hint == "correct calendar.query"
