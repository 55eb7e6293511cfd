"""What rows are measured by: another table, games, good rows, filled columns; and figures that lack."""

import pytest

from backfilld.state.rules.evidence import Evidence
from backfilld.state.rules.expectation_suite import Expectation
from backfilld.state.rules.judge import Judgement, judge
from tests.factories import about, day, expectation, run, seen

TWO_PER_GAME = expectation(rows_per={"games": [2, 2]})


def told(judgement: Judgement) -> tuple[str, str]:
    return judgement.verdict.value, judgement.reason


LIKE_CONTEXT = expectation(ratio={"of": "upcoming_player_game_context", "min": 0.9, "max": 1.1})


@pytest.mark.parametrize(
    ("rows", "verdict", "reason"),
    [
        (1, "partial", "1 of at least 169 rows"),  # of 187 players, one was written
        (168, "partial", "168 of at least 169 rows"),
        (169, "complete", ""),
        (205, "complete", ""),
        (206, "excess", "206 rows, at most 205 for 5 games"),
    ],
)
def test_rows_are_measured_against_another_table(rows: int, verdict: str, reason: str) -> None:
    assert told(judge(seen(rows=rows, reference=187), LIKE_CONTEXT, day(), about())) == (verdict, reason)


def test_a_ratio_is_the_decimal_that_was_written() -> None:
    rule = expectation(ratio={"of": "other", "min": 0.55, "max": 0.57})  # floats say 55.00000000000001 of 100
    assert told(judge(seen(rows=55, reference=100), rule, day(), about()))[0] == "complete"
    assert told(judge(seen(rows=57, reference=100), rule, day(), about()))[0] == "complete"


@pytest.mark.parametrize("reference", [None, 0])
def test_rows_measured_against_an_empty_table_are_partial(reference: int | None) -> None:
    verdict, reason = told(judge(seen(rows=187, reference=reference), LIKE_CONTEXT, day(), about()))
    assert verdict == "partial"
    assert reason == "upcoming_player_game_context, which it is measured against, has no rows"


@pytest.mark.parametrize("reference", [None, 0])
def test_no_rows_measured_against_an_empty_table_are_no_data(reference: int | None) -> None:
    assert told(judge(seen(reference=reference, closed=run()), LIKE_CONTEXT, day(), about()))[0] == "no_data"


ALL_GAMES = expectation(rows_per={"games": [16, 28]}, distinct=[{"column": "game_id", "per": "games"}])


def test_enough_rows_of_too_few_games_are_partial() -> None:
    judgement = judge(seen(rows=110, distinct={"game_id": 4}), ALL_GAMES, day(games=5), about())
    assert told(judgement) == ("partial", "4 distinct game_id, at least 5 for 5 games")


def test_a_game_under_two_identifiers_is_excess() -> None:
    home_away_and_away_home = seen(rows=110, distinct={"game_id": 6})
    judgement = judge(home_away_and_away_home, ALL_GAMES, day(games=5), about())
    assert told(judgement) == ("excess", "6 distinct game_id, at most 5 for 5 games")


def test_as_many_games_as_the_calendar_has_are_complete() -> None:
    assert (
        told(judge(seen(rows=110, distinct={"game_id": 5}), ALL_GAMES, day(games=5), about()))[0]
        == "complete"
    )


def test_a_share_of_good_rows_is_the_decimal_that_was_written() -> None:
    rule = expectation(quality={"where": "ok", "share": 0.28})  # floats want 7.000000000000001 of 25
    assert told(judge(seen(rows=25, passing_rows=7), rule, day(), about()))[0] == "complete"
    assert told(judge(seen(rows=25, passing_rows=6), rule, day(), about()))[0] == "degraded"


FILLED = expectation(
    rows=[1], filled={"columns": ["minutes_played", "opponent_strength_score"], "share": 0.5}
)


def test_a_column_that_was_never_filled_is_degraded() -> None:
    evidence = seen(rows=10_069, empty_counts={"minutes_played": 0, "opponent_strength_score": 10_068})
    verdict, reason = told(judge(evidence, FILLED, day(), about()))
    assert verdict == "degraded"
    assert reason == "opponent_strength_score is empty in 10068 of 10069 rows, at most 50 % may"


def test_a_column_may_be_empty_in_the_share_that_is_allowed() -> None:
    evidence = seen(rows=10, empty_counts={"minutes_played": 5, "opponent_strength_score": 0})
    assert told(judge(evidence, FILLED, day(), about()))[0] == "complete"


def test_without_any_rule_one_row_is_enough() -> None:
    assert told(judge(seen(rows=1), Expectation(), day(), about()))[0] == "complete"
    assert told(judge(seen(rows=0, closed=run()), Expectation(), day(), about()))[0] == "no_data"


# ------------------------------------------------------------- what cannot be checked is not satisfied


@pytest.mark.parametrize(
    ("evidence", "rule"),
    [
        (seen(rows=110), ALL_GAMES),
        (seen(rows=110), expectation(quality={"where": "ok", "share": 0.9})),
        (seen(rows=110, empty_counts={"minutes_played": 0}), FILLED),
    ],
)
def test_a_figure_that_nobody_asked_for_is_unknown(evidence: Evidence, rule: Expectation) -> None:
    verdict, reason = told(judge(evidence, rule, day(), about()))
    assert verdict == "unknown"
    assert reason.endswith("not counted")


def test_rows_per_game_without_a_number_of_games_are_unknown() -> None:
    judgement = judge(seen(rows=16), TWO_PER_GAME, day(games=None), about())
    assert told(judgement) == ("unknown", "the calendar does not say how many games there are")


def test_a_negative_number_of_games_is_unknown() -> None:
    assert told(judge(seen(closed=run()), TWO_PER_GAME, day(games=-3), about()))[0] == "unknown"
