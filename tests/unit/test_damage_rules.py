"""Rules that see damage within the allowed number of rows: keys, groups, the dates before, empty values."""

import datetime as dt
from typing import Any

import pytest
from pydantic import ValidationError

from backfilld.state.rules.evidence import EarlierDate, Evidence
from backfilld.state.rules.expectation_suite import Expectation
from backfilld.state.rules.expectations.aggregate_types import EmptyValues, GroupCounts
from backfilld.state.rules.expectations.earlier_dates import window
from backfilld.state.rules.judge import judge
from tests.factories import about, day, expectation, seen

TEAMS = expectation(unique={"columns": ["game_id", "team_abbr"]})
PAIRS = expectation(rows_each={"group_by": ["game_id"], "rows": [2, 2]})
USUAL = expectation(volume={"days_back": 28, "min_days": 7, "per": "games", "min": 0.7, "max": 1.4})


def verdict_of(rule: Expectation, evidence: Evidence, **of: Any) -> tuple[str, str]:
    judgement = judge(evidence, rule, day(**of), about())
    return judgement.verdict.value, judgement.reason


def groups(**counts: int) -> GroupCounts:
    return GroupCounts(
        **{"groups": 11, "too_small": 0, "too_large": 0, "smallest": 2, "largest": 2, **counts}
    )


def before(*rows: int, games: int = 5, until: str = "2021-10-25") -> tuple[EarlierDate, ...]:
    """Complete dates, of which the last is `until`."""
    last = dt.date.fromisoformat(until)
    dates = (last - dt.timedelta(days=number) for number in range(len(rows)))
    return tuple(
        EarlierDate(date=date, rows=n, counts={"games": games}) for date, n in zip(dates, rows, strict=True)
    )


def test_one_team_twice_and_one_missing_repeat_a_key() -> None:
    assert verdict_of(TEAMS, seen(rows=22, distinct_keys=22)) == ("complete", "")
    assert verdict_of(TEAMS, seen(rows=22, distinct_keys=21)) == (
        "excess",
        "1 of 22 rows repeat the key (game_id, team_abbr) of another",
    )


def test_a_share_of_repeated_keys_may_be_allowed() -> None:
    rule = expectation(unique={"columns": ["id"], "share": 0.1})
    assert verdict_of(rule, seen(rows=100, distinct_keys=90))[0] == "complete"
    assert verdict_of(rule, seen(rows=100, distinct_keys=89)) == (
        "excess",
        "11 of 100 rows repeat the key (id) of another, at most 10 % may",
    )


def test_keys_that_were_not_counted_are_unknown_and_so_are_more_keys_than_rows() -> None:
    assert verdict_of(TEAMS, seen(rows=22)) == (
        "unknown",
        "the distinct keys (game_id, team_abbr) were not counted",
    )
    assert verdict_of(TEAMS, seen(rows=22, distinct_keys=23))[0] == "unknown"


def test_half_a_game_is_seen_although_the_total_is_right() -> None:
    assert verdict_of(PAIRS, seen(rows=22, groups=groups())) == ("complete", "")
    assert verdict_of(
        PAIRS, seen(rows=22, groups=groups(too_small=1, too_large=1, smallest=1, largest=3))
    ) == (
        "partial",
        "1 of 11 groups by game_id have too few rows: the smallest has 1, at least 2",
    )
    assert verdict_of(PAIRS, seen(rows=23, groups=groups(too_large=1, largest=3))) == (
        "excess",
        "1 of 11 groups by game_id have too many rows: the largest has 3, at most 2",
    )


def test_groups_that_were_not_counted_are_unknown_and_no_rows_need_none() -> None:
    assert verdict_of(PAIRS, seen(rows=22)) == ("unknown", "the groups of rows_each were not counted")
    assert verdict_of(PAIRS, seen())[0] == "never_ran"


def test_a_third_of_the_rows_missing_is_seen_by_the_days_before() -> None:
    usual = before(*[500] * 10)
    assert verdict_of(USUAL, seen(rows=350, earlier=usual)) == ("complete", "")
    assert verdict_of(USUAL, seen(rows=349, earlier=usual)) == (
        "partial",
        "349 rows, at least 350: 0.7 times the median of 100 rows per games on 10 complete dates before",
    )
    assert verdict_of(USUAL, seen(rows=701, earlier=usual))[0] == "excess"


def test_the_median_is_per_count_so_that_a_day_with_two_games_is_no_loss() -> None:
    assert verdict_of(USUAL, seen(rows=200, earlier=before(*[500] * 10)), games=2)[0] == "complete"
    assert verdict_of(USUAL, seen(rows=139, earlier=before(*[500] * 10)), games=2)[0] == "partial"


def test_one_odd_date_before_does_not_move_the_median() -> None:
    assert verdict_of(USUAL, seen(rows=349, earlier=before(*[500] * 9, 1)))[0] == "partial"


def test_too_few_complete_dates_before_are_not_judged_and_said() -> None:
    assert verdict_of(USUAL, seen(rows=1, earlier=before(*[500] * 6))) == (
        "complete",
        "volume not judged: 6 complete dates in the 28 days before, at least 7 needed",
    )


def test_dates_outside_of_the_window_and_the_date_itself_do_not_count() -> None:
    old = before(*[500] * 10, until="2021-09-20")
    own = before(*[500] * 7, until="2021-10-26")
    assert verdict_of(USUAL, seen(rows=1, earlier=old))[0] == "complete"
    assert verdict_of(USUAL, seen(rows=1, earlier=own))[0] == "complete"


def test_a_date_on_which_the_calendar_counts_nothing_has_no_rate() -> None:
    assert verdict_of(USUAL, seen(rows=1, earlier=before(*[500] * 10, games=0)))[0] == "complete"


def test_a_ramp_replaces_the_volume_in_the_first_days() -> None:
    rule = expectation(
        volume={"days_back": 28, "min_days": 7, "min": 0.9}, ramp=[{"until_day": 30, "rows": [1, 600]}]
    )
    assert verdict_of(rule, seen(rows=10, earlier=before(*[500] * 7)))[0] == "complete"


def test_the_first_dates_of_the_calendar_have_a_window() -> None:
    assert window(dt.date(1, 1, 3), 28) == (dt.date(1, 1, 1), dt.date(1, 1, 2))


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"days_back": 28}, "bounds nothing; write min, max or both"),
        ({"days_back": 5, "min_days": 7, "min": 0.5}, "min_days 7 is above days_back 5"),
        ({"min": 2.0, "max": 1.0}, "can never hold"),
    ],
)
def test_a_volume_that_says_nothing_is_refused(keys: dict[str, float], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        expectation(volume=keys)


def test_zero_is_empty_unless_the_file_says_otherwise() -> None:
    assert expectation(filled={"columns": ["a"]}).aggregates == (EmptyValues("a", zero=True),)
    rule = expectation(filled={"columns": ["a"], "zero_is_empty": False})
    assert rule.aggregates == (EmptyValues("a", zero=False),)
