"""What every warehouse must answer for `expect.change`: measures of a date and of the days before."""

import datetime as dt
from collections.abc import Mapping

from tests.conformance.builders import NEXT, ask, box, rows
from tests.factories import phase, processor
from tests.integration.warehouses import DAY, House

TOTAL, SPREAD = "SUM(pct)", "MAX(pct) - MIN(pct)"
CHANGE = {"change": [{"of": of, "days_back": 3, "min_days": 1, "min": 0.5} for of in (TOTAL, SPREAD)]}


class MeasureSuite:
    """The part of `WarehouseSuite` that concerns measures."""

    def test_measures_are_known_of_a_date_and_of_the_days_of_its_window(self, house: House) -> None:
        # Given a day of NULL alone, one without rows, and one that is too long ago
        amounts: Mapping[int, tuple[float | None, ...]] = {
            -4: (9.0,),
            -2: (1.5, -4.0),
            -1: (None, None),
            0: (2.25,),
        }
        for days, values in amounts.items():
            date = DAY + dt.timedelta(days=days)
            house.put(
                "nba.box", [{"game_date": date, "pct": value} for value in values], types={"pct": "FLOAT64"}
            )

        # When
        found = ask(house, box(**CHANGE))["box"]

        # Then
        assert found.measures == {TOTAL: 2.25, SPREAD: 0.0}
        assert found.measures_before == {
            DAY - dt.timedelta(days=2): {TOTAL: -2.5, SPREAD: 5.5},
            DAY - dt.timedelta(days=1): {TOTAL: None, SPREAD: None},
        }

    def test_a_measure_of_a_column_that_is_missing_is_an_error_of_its_processor(self, house: House) -> None:
        house.put("nba.box", rows(2, pct=1.0) + rows(2, date=NEXT, pct=1.0))
        house.put("nba.other", rows(2))
        broken = processor(
            "box", date_column="game_date", expect={"change": [{"of": "SUM(no_such)", "min": 0.5}]}
        )
        both = phase("raw", broken, processor("other", date_column="game_date"))
        answers = ask(house, both)
        assert answers["box"].error.startswith("nba.box: expect.change cannot be queried: ")
        assert answers["other"].rows == 2
        assert house.open(both, history=None).rule_problem("box", DAY).startswith("expect.change: ")
