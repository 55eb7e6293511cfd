"""What both warehouses say of tables: the lake and BigQuery are asked the same and must answer the same."""

import datetime as dt
from typing import Any, cast

import pytest

from backfilld.state.rules.judge import judge
from backfilld.state.rules.verdict import Evidence, Verdict
from tests.factories import about, day, phase, processor
from tests.integration.warehouses import DAY, HISTORY, BigQueryHouse, House, closed

NEXT = DAY + dt.timedelta(days=1)


def rows(count: int, *, date: dt.date = DAY, **columns: Any) -> list[dict[str, Any]]:
    """Rows of one game each."""
    return [{"game_date": date, "game_id": f"g{number}", **columns} for number in range(count)]


def box(**expect: object) -> dict[str, object]:
    """A phase of one processor."""
    return phase("raw", processor("box", date_column="game_date", expect=expect))


def ask(house: House, *phases: object, date: dt.date = DAY, history: object = None) -> dict[str, Evidence]:
    """The evidence of every processor for one date."""
    warehouse = house.open(*phases, history=history)
    wanted = {name: [date] for name in house.pipeline(*phases).processors}
    return {name: found for (name, _), found in warehouse.evidence(wanted, purpose="gate").items()}


def test_rows_are_counted_per_date_and_a_date_without_any_has_none(house: House) -> None:
    # Given
    house.put("nba.box", rows(3) + rows(2, date=NEXT))
    later = NEXT + dt.timedelta(days=1)

    # When
    answers = house.open(box(), history=None).evidence({"box": [DAY, NEXT, later]}, purpose="gate")

    # Then
    assert {date: found.rows for (_, date), found in answers.items()} == {DAY: 3, NEXT: 2, later: 0}
    assert house.queries == [("gate", 0)]


def test_nothing_wanted_asks_nothing(house: House) -> None:
    warehouse = house.open(box())
    assert warehouse.evidence({}, purpose="gate") == {}
    assert warehouse.evidence({"box": []}, purpose="gate") == {}
    assert house.queries == []


def test_duplicates_count_as_rows_and_not_as_games(house: House) -> None:
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


def test_games_are_the_distinct_values_that_are_not_null(house: House) -> None:
    house.put("nba.box", [*rows(2), {"game_date": DAY, "game_id": None}])
    found = ask(house, box(distinct=[{"column": "game_id", "per": "games"}]))["box"]
    assert (found.rows, found.distinct["game_id"]) == (3, 2)


@pytest.mark.parametrize(
    "where",
    ["pct >= 95", "pct >= 95 -- as the platform counts", "pct >= 95 OR pct < 0", "SAFE_DIVIDE(pct, 1) >= 95"],
)
def test_good_rows_hold_the_predicate_and_null_does_not(house: House, where: str) -> None:
    house.put("nba.box", rows(3, pct=95.0) + rows(2, pct=94.9) + rows(1, pct=None))
    assert ask(house, box(quality={"where": where}))["box"].passing_rows == 3


def test_hollow_rows_are_null_or_zero_whatever_the_column_holds(house: House) -> None:
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


def test_a_date_without_rows_has_no_games_and_no_good_rows(house: House) -> None:
    house.put("nba.box", rows(1, pct=1.0))
    rules = {
        "distinct": [{"column": "game_id", "per": "games"}],
        "quality": {"where": "pct > 0"},
        "filled": {"columns": ["pct"]},
    }
    assert ask(house, box(**rules), date=NEXT)["box"] == Evidence(
        distinct={"game_id": 0}, passing_rows=0, empty_counts={"pct": 0}
    )


def test_what_no_rule_asks_for_is_not_counted(house: House) -> None:
    house.put("nba.box", rows(1))
    assert ask(house, box())["box"] == Evidence(rows=1)


def measured(**of: object) -> tuple[dict[str, object], dict[str, object]]:
    """A processor that is measured against another's rows."""
    first = phase("raw", processor("box", date_column="game_date", **of))
    ratio = {"ratio": {"of": "box", "min": 0.5}}
    return first, phase("made", processor("summary", date_column="game_date", expect=ratio))


@pytest.mark.parametrize("wanted", [["summary"], ["summary", "box"]])
def test_a_ratio_brings_the_other_tables_rows_asked_for_or_not(house: House, wanted: list[str]) -> None:
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


def test_a_ratio_is_known_for_dates_on_which_the_other_table_was_not_wanted(house: House) -> None:
    house.put("nba.box", rows(8) + rows(3, date=NEXT))
    house.put("nba.summary", rows(4, date=NEXT))
    answers = house.open(*measured(), history=None).evidence(
        {"box": [DAY], "summary": [NEXT]}, purpose="gate"
    )
    assert set(answers) == {("box", DAY), ("summary", NEXT)}
    assert answers["summary", NEXT].reference == 3


def test_a_table_that_cannot_be_measured_against_leaves_the_other_open(house: House) -> None:
    house.put("nba.box", rows(8))
    house.put("nba.summary", rows(4))
    answers = ask(house, *measured(expect={"quality": {"where": "nope > 1"}}))
    assert answers["summary"].error.startswith("box, which it is measured against, cannot be asked")


def test_tables_may_name_their_date_column_as_they_like(house: House) -> None:
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


def test_dates_far_apart_are_answered_each_and_the_days_between_are_not(house: House) -> None:
    # Given a season apart
    later = DAY + dt.timedelta(days=200)
    house.put("nba.box", rows(1) + rows(2, date=NEXT) + rows(3, date=later))

    # When
    answers = house.open(box(), history=None).evidence({"box": [later, DAY]}, purpose="gate")

    # Then
    assert {date: found.rows for (_, date), found in answers.items()} == {DAY: 1, later: 3}


BROKEN = {
    "column": {"distinct": [{"column": "nope", "per": "games"}]},
    "predicate": {"quality": {"where": "AND AND"}},
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_rule_leaves_the_other_tables_judged(house: House, fault: str) -> None:
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


def test_a_broken_table_is_asked_apart_afterwards_until_it_answers(house: House) -> None:
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
    mend(house, "two")
    assert sent() == 2
    assert sent() == 1
    assert warehouse.evidence(wanted, purpose="gate")["two", DAY].distinct == {"late_id": 1}


def mend(house: House, name: str) -> None:
    """Give a table the column that it lacked."""
    if not isinstance(house, BigQueryHouse):
        house.put(f"nba.{name}", [{"game_date": DAY, "game_id": "g", "late_id": "x"}])
    else:
        house.run(f"ALTER TABLE nba.{name} ADD COLUMN late_id STRING")
        house.run(f"UPDATE nba.{name} SET late_id = 'x' WHERE game_date = DATE '{DAY}'")


def test_a_season_of_fourteen_tables_is_two_questions(house: House) -> None:
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
    answers = house.open(phase("raw", *processors)).evidence(dict.fromkeys(names, season), purpose="plan")

    # Then
    assert len(answers) == 14 * 250
    assert all(
        found.rows == found.distinct["game_id"] == found.passing_rows == 1 for found in answers.values()
    )
    assert answers["table_3", DAY].closed is not None
    assert [purpose for purpose, _ in house.queries] == ["plan", "plan"]
