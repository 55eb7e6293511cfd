"""What every warehouse must answer. A warehouse inherits the suite and gives it a `house` to put rows into.

class TestLake(WarehouseSuite):
    @pytest.fixture
    def house(self, tmp_path): ...
"""

import datetime as dt
from typing import Any, cast

import pytest

from backfilld.daemon.adapters import warehouse_adapter
from backfilld.daemon.warehouses.adapter import WarehouseError
from backfilld.state.rules.evidence import Evidence
from backfilld.state.rules.judge import judge
from backfilld.state.rules.verdict import Verdict
from tests.conformance.builders import NEXT, ask, box, measured, rows
from tests.conformance.date_suite import DateSuite
from tests.conformance.key_suite import KeySuite
from tests.conformance.measure_suite import MeasureSuite
from tests.conformance.no_rows_suite import NoRowsSuite
from tests.conformance.rule_suite import RuleSuite
from tests.factories import about, day, phase, processor
from tests.integration.warehouses import DAY, HISTORY, House, closed

BROKEN = {
    "column": {"distinct": [{"column": "nope", "per": "games"}]},
    "predicate": {"quality": {"where": "no_such_function(pct)"}},
}


class WarehouseSuite(RuleSuite, KeySuite, MeasureSuite, NoRowsSuite, DateSuite):
    """The tests that each warehouse inherits; its class has a fixture `house`."""

    def test_rows_are_counted_per_date_and_a_date_without_any_has_none(self, house: House) -> None:
        # Given
        house.put("nba.box", rows(3) + rows(2, date=NEXT))
        later = NEXT + dt.timedelta(days=1)

        # When
        answers = house.open(box(), history=None).evidence({"box": [DAY, NEXT, later]}, purpose="gate")

        # Then
        assert {date: found.rows for (_, date), found in answers.items()} == {DAY: 3, NEXT: 2, later: 0}
        assert house.queries == [("gate", 0)]

    def test_nothing_wanted_asks_nothing(self, house: House) -> None:
        warehouse = house.open(box())
        assert warehouse.evidence({}, purpose="gate") == {}
        assert warehouse.evidence({"box": []}, purpose="gate") == {}
        assert house.queries == []

    def test_duplicates_count_as_rows_and_not_as_games(self, house: House) -> None:
        # Given eleven games, written eight times: 88 rows were once found where 22 belong
        house.put("nba.box", rows(11) * 8)

        # When
        found = ask(house, box(distinct=[{"column": "game_id", "per": "games"}], rows_per={"games": [2, 2]}))[
            "box"
        ]

        # Then
        assert (found.rows, found.distinct["game_id"]) == (88, 11)
        expect = (
            house.pipeline(box(distinct=[{"column": "game_id", "per": "games"}], rows_per={"games": [2, 2]}))
            .processors["box"]
            .expect
        )
        assert judge(found, expect, day(games=11), about()).verdict is Verdict.EXCESS

    def test_games_are_the_distinct_values_that_are_not_null(self, house: House) -> None:
        house.put("nba.box", [*rows(2), {"game_date": DAY, "game_id": None}])
        found = ask(house, box(distinct=[{"column": "game_id", "per": "games"}]))["box"]
        assert (found.rows, found.distinct["game_id"]) == (3, 2)

    @pytest.mark.parametrize(
        "where",
        [
            "pct >= 95",
            "pct >= 95 OR pct < 0",
            "pct * 1 >= 95",
        ],
    )
    def test_good_rows_hold_the_predicate_and_null_does_not(self, house: House, where: str) -> None:
        house.put("nba.box", rows(3, pct=95.0) + rows(2, pct=94.9) + rows(1, pct=None))
        assert ask(house, box(quality={"where": where}))["box"].passing_rows == 3

    def test_hollow_rows_are_null_or_zero_whatever_the_column_holds(self, house: House) -> None:
        # Given one row of each kind: something, zero, NULL
        something: dict[str, Any] = {"i": 7, "f": 0.5, "s": "seven", "b": True, "d": DAY}
        zero: dict[str, Any] = {"i": 0, "f": -0.0, "s": "0.0", "b": False, "d": DAY}
        house.put(
            "nba.box", rows(1, **something) + rows(1, **zero) + rows(1, **cast(Any, dict.fromkeys(something)))
        )

        # When
        found = ask(house, box(filled={"columns": ["i", "f", "s", "b", "d"], "share": 0.5}))["box"]

        # Then false and a date are values, NULL never is
        assert found.empty_counts == {"i": 2, "f": 2, "s": 2, "b": 1, "d": 1}

    def test_a_date_without_rows_has_no_games_and_no_good_rows(self, house: House) -> None:
        house.put("nba.box", rows(1, pct=1.0))
        rules = {
            "distinct": [{"column": "game_id", "per": "games"}],
            "quality": {"where": "pct > 0"},
            "filled": {"columns": ["pct"]},
        }
        assert ask(house, box(**rules), date=NEXT)["box"] == Evidence(
            distinct={"game_id": 0}, passing_rows=0, empty_counts={"pct": 0}
        )

    def test_what_no_rule_asks_for_is_not_counted(self, house: House) -> None:
        house.put("nba.box", rows(1))
        assert ask(house, box())["box"] == Evidence(rows=1)

    @pytest.mark.parametrize("wanted", [["summary"], ["summary", "box"]])
    def test_a_ratio_brings_the_other_tables_rows_asked_for_or_not(
        self, house: House, wanted: list[str]
    ) -> None:
        # Given
        house.put("nba.box", rows(8))
        house.put("nba.summary", rows(4) + rows(1, date=NEXT))

        # When
        warehouse = house.open(*measured(), history=None)
        answers = warehouse.evidence({name: [DAY, NEXT] for name in wanted}, purpose="gate")

        # Then one query had both, and nobody is told what was not wanted
        assert (answers["summary", DAY].rows, answers["summary", DAY].reference) == (4, 8)
        assert (answers["summary", NEXT].rows, answers["summary", NEXT].reference) == (1, 0)
        assert {name for name, _ in answers} == set(wanted)
        assert len(house.queries) == 1

    def test_a_ratio_is_known_for_dates_on_which_the_other_table_was_not_wanted(self, house: House) -> None:
        house.put("nba.box", rows(8) + rows(3, date=NEXT))
        house.put("nba.summary", rows(4, date=NEXT))
        answers = house.open(*measured(), history=None).evidence(
            {"box": [DAY], "summary": [NEXT]}, purpose="gate"
        )
        assert set(answers) == {("box", DAY), ("summary", NEXT)}
        assert answers["summary", NEXT].reference == 3

    def test_a_table_that_cannot_be_measured_against_leaves_the_other_open(self, house: House) -> None:
        house.put("nba.box", rows(8))
        house.put("nba.summary", rows(4))
        answers = ask(house, *measured(expect={"quality": {"where": "nope > 1"}}))
        assert answers["summary"].error.startswith("box, which it is measured against, cannot be queried")

    def test_tables_may_name_their_date_column_as_they_like(self, house: House) -> None:
        house.put("nba.zones", [{"analysis_date": DAY, "team": "BOS"}], by="analysis_date")
        house.put("nba.cache", [{"date": DAY, "n": 1, "games": 2}], by="date")
        answers = ask(
            house,
            phase(
                "made",
                processor(
                    "zones",
                    date_column="analysis_date",
                    expect={"distinct": [{"column": "team", "per": "games"}]},
                ),
                processor("cache", date_column="date", expect={"quality": {"where": "games = 2 AND n = 1"}}),
            ),
        )
        assert answers == {
            "zones": Evidence(rows=1, distinct={"team": 1}),
            "cache": Evidence(rows=1, passing_rows=1),
        }

    def test_dates_far_apart_are_answered_each_and_the_days_between_are_not(self, house: House) -> None:
        # Given a season apart
        later = DAY + dt.timedelta(days=200)
        house.put("nba.box", rows(1) + rows(2, date=NEXT) + rows(3, date=later))

        # When
        answers = house.open(box(), history=None).evidence({"box": [later, DAY]}, purpose="gate")

        # Then
        assert {date: found.rows for (_, date), found in answers.items()} == {DAY: 1, later: 3}

    @pytest.mark.parametrize("fault", BROKEN)
    def test_a_broken_rule_leaves_the_other_tables_judged(self, house: House, fault: str) -> None:
        # Given four tables, of which one is asked for what it does not have
        names = ["one", "two", "three", "four"]
        for name in names:
            house.put(f"nba.{name}", rows(2))
        processors = [
            processor(name, date_column="game_date", expect=BROKEN[fault] if name == "three" else {})
            for name in names
        ]

        # When
        answers = ask(house, phase("raw", *processors))

        # Then
        assert answers["three"].error.startswith("nba.three: ")
        assert {name: found.rows for name, found in answers.items() if not found.error} == {
            "one": 2,
            "two": 2,
            "four": 2,
        }
        assert house.errors > 0

    def test_a_broken_table_is_asked_apart_afterwards_until_it_answers(self, house: House) -> None:
        # Given four tables, one of which lacks a column
        names = ["one", "two", "three", "four"]
        for name in names:
            house.put(f"nba.{name}", rows(2))
        processors = [processor(name, date_column="game_date") for name in names]
        processors[1]["expect"] = {"distinct": [{"column": "late_id", "per": "games"}]}
        warehouse = house.open(phase("raw", *processors), history=None)
        wanted = {name: [DAY] for name in names}

        def sent() -> int:
            before = len(house.queries)
            found = warehouse.evidence(wanted, purpose="gate")
            assert all(found[name, DAY].rows == 2 for name in ("one", "three", "four"))
            return len(house.queries) - before

        # When the culprit was looked for, it is known
        assert sent() == 5  # all together, then each
        assert sent() == 2
        assert sent() == 2

        # Then it is healed by an answer
        house.add_column("nba.two", "late_id")
        assert sent() == 2
        assert sent() == 1
        assert warehouse.evidence(wanted, purpose="gate")["two", DAY].distinct == {"late_id": 1}

    def test_a_season_of_fourteen_tables_is_two_questions(self, house: House) -> None:
        # Given
        names = [f"table_{number}" for number in range(14)]
        for name in names:
            house.fill(f"nba.{name}", "SELECT day AS game_date, 'g' AS game_id, 97.5 AS pct FROM {dates}")
        house.put(HISTORY, closed("table_3", "r1", "failed"), by="data_date")
        rules = {
            "distinct": [{"column": "game_id", "per": "games"}],
            "quality": {"where": "pct > 95"},
            "filled": {"columns": ["pct"]},
        }
        processors = [processor(name, date_column="game_date", expect=rules) for name in names]
        season = [dt.date(2021, 10, 19) + dt.timedelta(days=number) for number in range(250)]

        # When
        answers = house.open(phase("raw", *processors)).evidence(
            dict.fromkeys(names, season), purpose="validation"
        )

        # Then
        assert len(answers) == 14 * 250
        assert all(
            found.rows == found.distinct["game_id"] == found.passing_rows == 1 for found in answers.values()
        )
        assert answers["table_3", DAY].closed is not None
        assert [purpose for purpose, _ in house.queries] == ["validation", "validation"]

    def test_null_predicates_and_columns_without_any_empty_row_are_figures(self, house: House) -> None:
        """An aggregate over nothing but NULL is NULL in some dialects, and a figure here."""
        house.put("nba.box", rows(3, score=None, name="Ann"), types={"score": "INT64"})
        house.put("nba.box", rows(2, date=NEXT, score=50, name=None))
        rules = {
            "quality": {"where": "score >= 50"},
            "filled": {"columns": ["name"]},
            "distinct": [{"column": "name", "per": "games"}],
        }
        answers = house.open(box(**rules), history=None).evidence({"box": [DAY, NEXT]}, purpose="gate")
        assert answers["box", DAY] == Evidence(
            rows=3, distinct={"name": 1}, passing_rows=0, empty_counts={"name": 0}
        )
        assert answers["box", NEXT] == Evidence(
            rows=2, distinct={"name": 0}, passing_rows=2, empty_counts={"name": 2}
        )

    def test_not_a_number_and_blank_texts_are_empty(self, house: House) -> None:
        house.put("nba.box", rows(2, name="") + rows(1, name="  ") + rows(1, name="Ann"))
        house.fill("nba.pct", "SELECT day AS game_date, CAST('NaN' AS {double}) AS pct FROM {dates}")
        filled = {
            "box": {"filled": {"columns": ["name"]}},
            "pct": {"filled": {"columns": ["pct"]}, "quality": {"where": "pct IS NULL"}},
        }
        both = [processor(name, date_column="game_date", expect=rule) for name, rule in filled.items()]
        answers = ask(house, phase("raw", *both))
        assert answers["box"].empty_counts == {"name": 3}
        assert answers["pct"] == Evidence(rows=1, passing_rows=0, empty_counts={"pct": 1})

    def test_a_table_that_is_missing_has_no_rows_or_an_error_that_names_it(self, house: House) -> None:
        house.put("nba.box", rows(2))
        both = [processor(name, date_column="game_date") for name in ("box", "nowhere")]
        answers = ask(house, phase("raw", *both))
        assert answers["box"].rows == 2
        if "implicit_tables" in warehouse_adapter(house.kind).capabilities:
            assert answers["nowhere"] == Evidence()
        else:
            assert answers["nowhere"].error.startswith("nba.nowhere: ")

    def test_a_warehouse_that_is_away_is_an_error_and_no_answer(self, house: House) -> None:
        away = house.open_unreachable(box())
        with pytest.raises(WarehouseError):
            away.evidence({"box": [DAY]}, purpose="gate")
        with pytest.raises(WarehouseError):
            away.catalog.describe_connection()
