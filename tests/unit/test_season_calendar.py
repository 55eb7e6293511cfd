"""What is expected of a date, with the openers and off days of real seasons."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfilld.state.rules.season_calendar import Calendar, Season, days_key
from tests.factories import day


def season(name: str, opens: str, closes: str) -> Season:
    return Season(name=name, opens=dt.date.fromisoformat(opens), closes=dt.date.fromisoformat(closes))


SEASONS = [
    season("2022-23", "2022-10-18", "2023-06-12"),
    season("2021-22", "2021-10-19", "2022-06-16"),
    season("2023-24", "2023-10-24", "2024-06-17"),
]
NBA = Calendar(SEASONS, counted=True)
EVERY_DAY = Calendar([], counted=False)


def date(text: str) -> dt.date:
    return dt.date.fromisoformat(text)


def test_seasons_are_kept_in_the_order_of_their_openers() -> None:
    assert [season.name for season in NBA.seasons] == ["2021-22", "2022-23", "2023-24"]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("2021-10-18", None),
        ("2021-10-19", "2021-22"),
        ("2022-06-16", "2021-22"),
        ("2022-06-17", None),
        ("2023-01-01", "2022-23"),
        ("2024-06-18", None),
    ],
)
def test_a_season_has_both_its_ends(text: str, name: str | None) -> None:
    found = NBA.season(date(text))
    assert (found.name if found else None) == name


def test_the_opener_is_day_0_of_its_season() -> None:
    opener = NBA.day(date("2021-10-19"), {"games": 2})
    assert (opener.season, opener.season_day, opener.counts) == ("2021-22", 0, {"games": 2})
    assert opener.expected


def test_a_preseason_date_names_the_opener() -> None:
    preseason = NBA.day(date("2021-10-15"), {"games": 7})
    assert not preseason.expected
    assert preseason.reason == "preseason: 2021-22 opens 2021-10-19"
    assert preseason.season_day is None


def test_a_summer_date_waits_for_the_next_season() -> None:
    assert NBA.day(date("2022-08-01"), {"games": 0}).reason == "preseason: 2022-23 opens 2022-10-18"


def test_a_date_after_the_last_season_names_its_end() -> None:
    assert NBA.day(date("2024-08-01"), {"games": 0}).reason == "out of season: 2023-24 closed 2024-06-17"


@pytest.mark.parametrize("text", ["2021-11-25", "2021-12-24", "2022-02-18"])
def test_thanksgiving_christmas_eve_and_the_all_star_break_expect_nothing(text: str) -> None:
    off_day = NBA.day(date(text), {"games": 0})
    assert off_day.reason == "no games on this date"
    assert off_day.season == "2021-22"


def test_a_playoff_date_is_in_season() -> None:
    assert NBA.day(date("2022-06-16"), {"games": 1}).expected


@pytest.mark.parametrize(
    ("text", "days", "young"),
    [
        ("2021-10-19", 7, True),
        ("2021-10-25", 7, True),
        ("2021-10-26", 7, False),
        ("2021-10-26", 14, True),
        ("2021-11-01", 14, True),
        ("2021-11-02", 14, False),
        ("2021-10-19", 0, False),
        ("2021-10-15", 7, False),  # preseason: outside, not early
    ],
)
def test_the_first_days_of_a_season_are_bootstrap(text: str, days: int, young: bool) -> None:
    assert NBA.day(date(text), {"games": 5}).in_bootstrap(days) is young


def test_without_seasons_every_date_is_expected_and_none_has_a_season_day() -> None:
    any_day = EVERY_DAY.day(date("2021-08-01"), None)
    assert any_day.expected
    assert any_day.season is None
    assert not any_day.in_bootstrap(7)


def test_without_seasons_a_date_without_games_still_expects_nothing() -> None:
    assert Calendar([], counted=True).day(date("2021-08-01"), {"games": 0}).reason == "no games on this date"


def test_a_date_with_any_count_is_expected() -> None:
    assert NBA.day(date("2021-11-25"), {"games": 0, "exhibitions": 1}).expected
    off_day = NBA.day(date("2021-11-25"), {"games": 0, "exhibitions": 0})
    assert off_day.reason == "no games and no exhibitions on this date"
    assert NBA.day(date("2021-11-25"), {}).reason == "nothing on this date"


def test_a_date_that_the_answer_lacks_has_none_of_what_is_counted() -> None:
    off_day, opener = date("2021-11-25"), date("2021-10-19")
    answer = {opener: {"games": 2, "stores": 1}}
    assert NBA.counts_of([opener, off_day], answer) == {
        opener: {"games": 2, "stores": 1},
        off_day: {"games": 0, "stores": 0},
    }
    named = Calendar(SEASONS, counted=True, count_names=["games"])
    assert named.counts_of([off_day], {}) == {off_day: {"games": 0}}


def test_a_calendar_that_does_not_count_has_no_counts_for_any_date() -> None:
    assert EVERY_DAY.counts_of([date("2021-11-25")], {}) == {date("2021-11-25"): None}


def test_the_seasons_lookback_starts_at_its_opener() -> None:
    assert NBA.lookback_start(date("2021-11-02"), "season") == date("2021-10-19")


def test_the_opener_looks_back_on_nothing() -> None:
    opener = date("2021-10-19")
    assert NBA.lookback_start(opener, "season") == opener


def test_a_date_out_of_season_looks_back_on_nothing() -> None:
    assert NBA.lookback_start(date("2022-08-01"), "season") == date("2022-08-01")


@pytest.mark.parametrize(
    ("days", "start"), [(0, "2021-11-02"), (1, "2021-11-01"), (30, "2021-10-03"), (10**9, "0001-01-01")]
)
def test_a_lookback_in_days_ends_the_day_before(days: int, start: str) -> None:
    assert NBA.lookback_start(date("2021-11-02"), days) == date(start)


@given(st.dates(), st.none() | st.integers(0, 20))
def test_every_date_has_a_day_and_a_reason_exactly_if_nothing_is_expected(
    any_date: dt.date, games: int | None
) -> None:
    found = NBA.day(any_date, None if games is None else {"games": games})
    assert found.date == any_date
    assert found.expected == (found.season is not None and games != 0)
    assert (found.season_day is None) == (found.season is None)


@given(st.dates(), st.integers(0, 400))
def test_a_lookback_never_starts_after_its_date(any_date: dt.date, days: int) -> None:
    assert NBA.lookback_start(any_date, days) <= any_date
    assert NBA.lookback_start(any_date, "season") <= any_date


def test_the_tests_own_season_is_the_real_one() -> None:
    assert (day().season, day().season_day) == ("2021-22", 7)


def test_days_that_a_query_names_are_no_counts_and_leave_an_uncounted_date_expected() -> None:
    key = days_key("closing")
    uncounted = Calendar([], counted=False, queried_days=["closing"])
    answered = uncounted.counts_of([date("2024-05-01"), date("2024-05-02")], {date("2024-05-02"): {key: 1}})
    assert [known and known[key] for known in answered.values()] == [0, 1]
    for at, known in answered.items():
        found = uncounted.day(at, known)
        assert (found.expected, found.counts, found.named_days) == (
            True,
            {},
            {"closing": bool(known and known[key])},
        )


def test_a_date_that_only_the_query_of_some_days_names_has_nothing_counted() -> None:
    key, at, other = days_key("closing"), date("2024-05-01"), date("2024-05-02")
    counted = Calendar([], counted=True, count_names=["trucks"], queried_days=["closing"])
    answered = counted.counts_of([at, other], {at: {key: 1}, other: {"games": 2}})
    assert answered == {at: {"trucks": 0, "games": 0, key: 1}, other: {key: 0, "games": 2}}
    assert counted.day(at, answered[at]).reason == "no trucks and no games on this date"
    assert counted.day(other, answered[other]).expected
