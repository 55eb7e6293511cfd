"""What a processor can expect of its rows, and how many rows that allows on a day."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from backfilld.state.rules.expectation_suite import Expectation
from backfilld.state.rules.expectations.rule import Range
from tests.factories import day, expectation


def allowed(rules: Expectation, **about: int | None) -> str:
    games, reference = about.get("games", 5), about.get("reference")
    return str(rules.row_range(day(games=games), reference))


def test_without_a_rule_at_least_one_row_is_allowed() -> None:
    assert allowed(Expectation()) == "at least 1"


def test_rows_per_game_grow_with_the_games() -> None:
    assert allowed(expectation(rows_per={"games": [2, 2]}), games=8) == "16"
    assert allowed(expectation(rows_per={"games": [16, 28]}), games=11) == "176 to 308"


def test_the_maximum_may_be_left_out() -> None:
    assert allowed(expectation(rows=[250])) == "at least 250"
    assert allowed(expectation(rows_per={"games": [16]}), games=2) == "at least 32"


def test_several_rules_must_hold_at_once() -> None:
    both = expectation(rows=[1, 100], rows_per={"games": [16, 28]})
    assert allowed(both, games=2) == "32 to 56"
    assert allowed(both, games=5) == "80 to 100"


def test_a_ratio_is_rounded_into_the_range_and_not_out_of_it() -> None:
    assert allowed(expectation(ratio={"of": "other", "min": 0.9, "max": 1.1}), reference=187) == "169 to 205"


def test_a_ratio_of_nothing_leaves_the_other_rules() -> None:
    rules = expectation(rows=[10, 20], ratio={"of": "other", "min": 0.9})
    assert allowed(rules, reference=0) == "10 to 20"
    assert allowed(expectation(ratio={"of": "other", "min": 0.9}), reference=None) == "at least 1"


def test_a_ramp_step_takes_the_place_of_the_row_rules_while_it_holds() -> None:
    rules = expectation(rows=[30, 30], ramp=[{"until_day": 8, "rows": [0, 30]}])
    assert str(rules.row_range(day("2021-10-26"), None)) == "0 to 30"
    assert str(rules.row_range(day("2021-10-27"), None)) == "30"


def test_a_ramp_needs_a_season_day() -> None:
    rules = expectation(rows=[30, 30], ramp=[{"until_day": 8, "rows": [0, 30]}])
    assert str(rules.row_range(day("2021-10-15"), None)) == "30"


@pytest.mark.parametrize(
    "rules",
    [
        {"rows": [5, 2]},
        {"rows": [-1, 2]},
        {"rows": [1, 2, 3]},
        {"rows": []},
        {"rows": 5},
        {"rows": [1.5]},
        {"rows": ["1"]},
        {"rows": [True]},
        {"rows_per": {"games": [3, 2]}},
        {"distinct": [{"column": "game id", "per": "games"}]},
        {"distinct": [{"column": "game_id); DROP TABLE nba.games; --", "per": "games"}]},
        {"ratio": {"min": 0.9}},
        {"ratio": {"of": "other", "min": 1.1, "max": 0.9}},
        {"ratio": {"of": "other", "max": 0}},
        {"quality": {"where": ""}},
        {"quality": {"where": "ok", "share": 0}},
        {"quality": {"where": "ok", "share": 1.1}},
        {"filled": {"columns": []}},
        {"filled": {"columns": ["a b"]}},
        {"filled": {"columns": ["a"], "share": 1}},
        {"ramp": [{"until_day": 0, "rows": [0]}]},
        {"ramp": [{"until_day": 9, "rows": [3, 2]}]},
        {"ramp": [{"until_day": 9, "rows": [0]}, {"until_day": 9, "rows": [1]}]},
        {"ramp": [{"until_day": 9, "rows": [0]}, {"until_day": 5, "rows": [1]}]},
        {"bootstrap_days": -1},
        {"row": [1]},
    ],
)
def test_an_expectation_that_cannot_hold_is_refused(rules: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        expectation(**rules)


def test_only_rules_per_count_need_a_calendar_that_counts() -> None:
    assert expectation(rows_per={"games": [2, 2]}).count_names == ("games",)
    assert expectation(distinct=[{"column": "game_id", "per": "games"}]).count_names == ("games",)
    assert not expectation(rows=[30, 30], quality={"where": "ok"}).count_names


limits = st.none() | st.integers(0, 50)
ranges = st.builds(Range, st.integers(0, 50), limits)


def inside(rows: int, limit: Range) -> bool:
    return limit.least <= rows and (limit.most is None or rows <= limit.most)


@given(ranges, ranges, st.integers(0, 60))
def test_a_narrowed_range_allows_what_both_allow(one: Range, other: Range, rows: int) -> None:
    narrowed = one.narrowed(other)
    assert inside(rows, narrowed) == (inside(rows, one) and inside(rows, other))


@given(st.dates(dt.date(2021, 10, 19), dt.date(2022, 6, 16)), st.integers(1, 15))
def test_more_games_never_allow_fewer_rows(date: dt.date, games: int) -> None:
    rules = expectation(rows_per={"games": [16, 28]})
    fewer = rules.row_range(day(str(date), games), None)
    more = rules.row_range(day(str(date), games + 1), None)
    assert more.least > fewer.least
    assert fewer.most is not None
    assert more.most is not None
    assert more.most > fewer.most
