"""What evidence means: every row of the table of verdicts, and the traps that the platform sprang."""

from typing import Any

import pytest

from state.expectation import Expectation
from state.verdict import Evidence, Judgement, Run, Verdict, judge
from tests.factories import HOUR, NOW, about, day, expectation, open_run, run, seen

TWO_PER_GAME = expectation(rows_per_game=[2, 2])
ELEVEN_GAMES = day(games=11)
EIGHT_GAMES = day(games=8)


def told(judgement: Judgement) -> tuple[str, str]:
    return judgement.verdict.value, judgement.reason


# ------------------------------------------------------------------- the table of verdicts, row by row


def test_complete_is_rows_within_the_expectation() -> None:
    judgement = judge(seen(rows=16), TWO_PER_GAME, EIGHT_GAMES, about())
    assert told(judgement) == ("complete", "")
    assert (judgement.rows, judgement.expected) == (16, "16")


def test_not_expected_is_a_day_without_games() -> None:
    off_day = day("2021-11-25", games=0)
    assert told(judge(seen(), TWO_PER_GAME, off_day, about())) == ("not_expected", "no games on this date")


def test_not_expected_is_a_preseason_date() -> None:
    preseason = day("2021-10-15", games=7)
    judgement = judge(seen(), TWO_PER_GAME, preseason, about())
    assert told(judgement) == ("not_expected", "preseason: 2021-22 opens 2021-10-19")


def test_partial_is_fewer_rows_than_expected() -> None:
    judgement = judge(seen(rows=2, closed=run()), TWO_PER_GAME, EIGHT_GAMES, about())
    assert told(judgement) == ("partial", "2 of 16 rows")


@pytest.mark.parametrize("rows", [44, 88])
def test_excess_is_more_rows_than_allowed(rows: int) -> None:
    judgement = judge(seen(rows=rows, closed=run()), TWO_PER_GAME, ELEVEN_GAMES, about())
    assert told(judgement) == ("excess", f"{rows} rows for 11 games, at most 22")


def test_degraded_is_the_right_number_of_bad_rows() -> None:
    rule = expectation(quality={"where": "completeness_percentage >= 95", "share": 0.9})
    verdict, reason = told(judge(seen(rows=20, good=17), rule, EIGHT_GAMES, about()))
    assert verdict == "degraded"
    assert reason == "17 of 20 rows (85.0 %) hold completeness_percentage >= 95, at least 90 % must"


def test_never_ran_is_no_rows_and_no_run() -> None:
    judgement = judge(seen(), TWO_PER_GAME, EIGHT_GAMES, about())
    assert told(judgement) == ("never_ran", "no rows, no run recorded")


def test_no_data_is_no_rows_after_a_success() -> None:
    judgement = judge(seen(closed=run(succeeded=True)), TWO_PER_GAME, EIGHT_GAMES, about())
    assert told(judgement) == ("no_data", "the latest run succeeded, but there are no rows")


def test_failed_is_no_rows_after_a_failure() -> None:
    closed = run(succeeded=False, detail="404 Not Found")
    judgement = judge(seen(closed=closed), TWO_PER_GAME, EIGHT_GAMES, about())
    assert told(judgement) == ("failed", "no rows, the latest run failed (404 Not Found)")


def test_running_is_an_open_run_of_an_hour() -> None:
    judgement = judge(seen(open=open_run(hours_ago=1)), TWO_PER_GAME, EIGHT_GAMES, about())
    assert told(judgement) == ("running", "a run is open in the history, started 1.0 h ago")


def test_unknown_is_a_warehouse_that_could_not_be_asked() -> None:
    judgement = judge(seen(rows=16, error="timeout after 120 s"), TWO_PER_GAME, EIGHT_GAMES, about())
    assert told(judgement) == ("unknown", "timeout after 120 s")
    assert judgement.rows is None


@pytest.mark.parametrize(
    "figures",
    [{"rows": -1}, {"rows": 3, "games": 4}, {"rows": 3, "good": 4}, {"rows": 3, "hollow": {"x": 4}}],
)
def test_unknown_is_an_answer_that_makes_no_sense(figures: dict[str, Any]) -> None:
    verdict, reason = told(judge(Evidence(**figures), Expectation(), EIGHT_GAMES, about()))
    assert verdict == "unknown"
    assert "makes no sense" in reason


def test_each_verdict_has_the_symbol_operators_know() -> None:
    symbols = {verdict.value: verdict.symbol for verdict in Verdict}
    assert symbols == {
        "complete": "✓",
        "not_expected": "–",
        "partial": "⚠",
        "excess": "⚠",
        "degraded": "⚠",
        "never_ran": "○",
        "no_data": "○",
        "failed": "✗",
        "running": "▷",
        "unknown": "△",
    }


def test_only_complete_and_not_expected_are_satisfied() -> None:
    satisfied = {verdict for verdict in Verdict if verdict.satisfied}
    assert satisfied == {Verdict.COMPLETE, Verdict.NOT_EXPECTED}


# ----------------------------------------------------------------------------------- rows beat history


def test_rows_beat_a_failed_history() -> None:
    rule = expectation(rows=[100, 600])
    assert told(judge(seen(rows=140, closed=run(succeeded=False)), rule, day(), about()))[0] == "complete"


def test_rows_beat_a_run_that_never_closed() -> None:
    assert told(judge(seen(rows=16, open=open_run()), TWO_PER_GAME, EIGHT_GAMES, about()))[0] == "complete"


def test_a_success_with_no_records_does_not_hide_the_rows() -> None:
    closed = run(succeeded=True, detail="0 records processed")
    assert told(judge(seen(rows=16, closed=closed), TWO_PER_GAME, EIGHT_GAMES, about()))[0] == "complete"


def test_exit_0_with_no_rows_is_no_data() -> None:
    own = run(succeeded=True, detail="exit 0")
    judgement = judge(seen(), TWO_PER_GAME, EIGHT_GAMES, about(own=own))
    assert told(judgement) == ("no_data", "the latest run succeeded (exit 0), but there are no rows")


def test_exit_1_with_all_rows_is_complete() -> None:
    own = run(succeeded=False, detail="exit 1")
    assert told(judge(seen(rows=16), TWO_PER_GAME, EIGHT_GAMES, about(own=own)))[0] == "complete"


def test_exit_0_with_two_of_sixteen_teams_is_partial() -> None:
    own = run(succeeded=True, detail="exit 0")
    assert told(judge(seen(rows=2), TWO_PER_GAME, EIGHT_GAMES, about(own=own))) == ("partial", "2 of 16 rows")


def test_without_rows_the_run_that_started_last_explains_the_absence() -> None:
    failed, succeeded = run(succeeded=False, hours_ago=2), run(succeeded=True, hours_ago=1)
    newest_history = judge(seen(closed=succeeded), TWO_PER_GAME, day(), about(own=failed))
    newest_own = judge(seen(closed=run(hours_ago=3)), TWO_PER_GAME, day(), about(own=failed))
    assert told(newest_history)[0] == "no_data"
    assert told(newest_own)[0] == "failed"


def test_our_own_attempt_that_still_runs_explains_nothing_yet() -> None:
    assert told(judge(seen(), TWO_PER_GAME, day(), about(own=open_run())))[0] == "never_ran"


def test_a_closed_run_counts_though_the_history_lacks_its_end() -> None:
    closed = Run(succeeded=False, started_at=NOW - HOUR, detail="partial")
    assert told(judge(seen(closed=closed), TWO_PER_GAME, day(), about()))[0] == "failed"


# ------------------------------------------------------------------------------------------- open runs


def test_a_run_open_for_five_hours_is_stale_after_four() -> None:
    judgement = judge(seen(open=open_run(hours_ago=5)), TWO_PER_GAME, EIGHT_GAMES, about())
    assert told(judgement) == ("never_ran", "no rows, a run that started 5.0 h ago never closed")


def test_a_stale_run_leaves_the_word_to_the_latest_closed_one() -> None:
    evidence = seen(open=open_run(hours_ago=5), closed=run(succeeded=False, hours_ago=6))
    assert told(judge(evidence, TWO_PER_GAME, EIGHT_GAMES, about()))[0] == "failed"


def test_an_open_run_is_told_with_the_name_of_who_started_it() -> None:
    judgement = judge(seen(open=open_run(detail="nightly")), TWO_PER_GAME, EIGHT_GAMES, about())
    assert told(judgement) == ("running", "a run is open in the history (nightly), started 1.0 h ago")


@pytest.mark.parametrize(("rows", "good"), [(4, 4), (20, 20), (16, 3)])
def test_somebodys_run_is_waited_for_while_the_rows_are_not_right(rows: int, good: int) -> None:
    rule = expectation(rows_per_game=[2, 2], quality={"where": "ok", "share": 0.9})
    evidence = seen(rows=rows, good=good)
    assert told(judge(evidence, rule, EIGHT_GAMES, about()))[0] in ("partial", "excess", "degraded")
    waiting = seen(rows=rows, good=good, open=open_run())
    assert told(judge(waiting, rule, EIGHT_GAMES, about()))[0] == "running"


def test_our_own_attempts_leftover_open_run_does_not_block() -> None:
    own = run(succeeded=False, hours_ago=1, lasted=600)
    leftover = Run(succeeded=False, started_at=own.started_at + 5)
    judgement = judge(seen(open=leftover), TWO_PER_GAME, EIGHT_GAMES, about(own=own))
    assert told(judgement)[0] == "failed"


def test_nor_does_the_leftover_of_an_attempt_before_the_latest() -> None:
    first, second = run(succeeded=False, hours_ago=2), run(succeeded=False, hours_ago=1)
    leftover = Run(succeeded=False, started_at=first.started_at + 5)
    judgement = judge(seen(open=leftover), TWO_PER_GAME, day(), about(own=second, earlier=(first,)))
    assert told(judgement)[0] == "failed"


def test_a_run_of_others_after_our_attempt_is_waited_for() -> None:
    own = run(succeeded=False, hours_ago=2)
    judgement = judge(seen(open=open_run(hours_ago=1)), TWO_PER_GAME, day(), about(own=own))
    assert told(judgement)[0] == "running"


def test_a_run_that_starts_next_year_is_not_waited_for() -> None:
    evidence = seen(open=open_run(hours_ago=-24 * 365))
    assert told(judge(evidence, TWO_PER_GAME, day(), about()))[0] == "never_ran"


# --------------------------------------------------------------------------- bootstrap, ramp, off days


@pytest.mark.parametrize("date", [f"2021-10-{number}" for number in range(19, 26)])
def test_nothing_is_expected_on_days_0_to_6_of_a_season(date: str) -> None:
    judgement = judge(seen(), TWO_PER_GAME, day(date), about(bootstrap_days=7))
    assert judgement.verdict is Verdict.NOT_EXPECTED
    assert judgement.reason.startswith("bootstrap: day ")


def test_day_7_of_a_season_is_the_first_that_counts() -> None:
    judgement = judge(seen(), TWO_PER_GAME, day("2021-10-26"), about(bootstrap_days=7))
    assert told(judgement)[0] == "never_ran"


def test_a_preseason_date_is_not_called_bootstrap() -> None:
    judgement = judge(seen(), TWO_PER_GAME, day("2021-10-15"), about(bootstrap_days=7))
    assert judgement.reason.startswith("preseason")


THIRTY_TEAMS = expectation(
    rows=[30, 30], ramp=[{"until_day": 20, "rows": [0, 30]}, {"until_day": 35, "rows": [20, 30]}]
)


@pytest.mark.parametrize(
    ("date", "rows", "verdict"),
    [
        ("2021-11-02", 1, "complete"),  # day 14
        ("2021-11-07", 17, "complete"),  # day 19, the last of the first step
        ("2021-11-08", 17, "partial"),  # day 20
        ("2021-11-08", 20, "complete"),
        ("2021-11-22", 29, "complete"),  # day 34, the last of the ramp
        ("2021-11-23", 29, "partial"),  # day 35
        ("2021-11-23", 30, "complete"),
        ("2021-11-02", 31, "excess"),
    ],
)
def test_a_ramp_is_looser_until_its_day_of_the_season(date: str, rows: int, verdict: str) -> None:
    assert told(judge(seen(rows=rows), THIRTY_TEAMS, day(date), about()))[0] == verdict


def test_on_a_ramp_that_allows_none_a_successful_run_without_rows_is_enough() -> None:
    judgement = judge(seen(closed=run()), THIRTY_TEAMS, day("2021-11-02"), about())
    assert told(judgement) == ("complete", "no rows, and none are needed")


def test_on_a_ramp_that_allows_none_a_job_that_never_ran_still_has_to() -> None:
    assert told(judge(seen(), THIRTY_TEAMS, day("2021-11-02"), about()))[0] == "never_ran"


def test_a_ramp_takes_the_place_of_the_ratio_too() -> None:
    rule = expectation(ratio={"of": "zones", "min": 0.9}, ramp=[{"until_day": 35, "rows": [0, 400]}])
    assert told(judge(seen(rows=200, reference=0), rule, day("2021-11-06"), about()))[0] == "complete"


# ----------------------------------------------------------------------- ratio, games, quality, filled


LIKE_CONTEXT = expectation(ratio={"of": "upcoming_player_game_context", "min": 0.9, "max": 1.1})


@pytest.mark.parametrize(
    ("rows", "verdict", "reason"),
    [
        (1, "partial", "1 of at least 169 rows"),  # of 187 players, one was written
        (168, "partial", "168 of at least 169 rows"),
        (169, "complete", ""),
        (205, "complete", ""),
        (206, "excess", "206 rows for 5 games, at most 205"),
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


ALL_GAMES = expectation(rows_per_game=[16, 28], games_column="game_id")


def test_enough_rows_of_too_few_games_are_partial() -> None:
    judgement = judge(seen(rows=110, games=4), ALL_GAMES, day(games=5), about())
    assert told(judgement) == ("partial", "4 of 5 games")


def test_a_game_under_two_identifiers_is_excess() -> None:
    home_away_and_away_home = seen(rows=110, games=6)
    judgement = judge(home_away_and_away_home, ALL_GAMES, day(games=5), about())
    assert told(judgement) == ("excess", "6 distinct games, the calendar has 5")


def test_as_many_games_as_the_calendar_has_are_complete() -> None:
    assert told(judge(seen(rows=110, games=5), ALL_GAMES, day(games=5), about()))[0] == "complete"


def test_a_share_of_good_rows_is_the_decimal_that_was_written() -> None:
    rule = expectation(quality={"where": "ok", "share": 0.28})  # floats want 7.000000000000001 of 25
    assert told(judge(seen(rows=25, good=7), rule, day(), about()))[0] == "complete"
    assert told(judge(seen(rows=25, good=6), rule, day(), about()))[0] == "degraded"


FILLED = expectation(
    rows=[1], filled={"columns": ["minutes_played", "opponent_strength_score"], "share": 0.5}
)


def test_a_column_that_was_never_filled_is_degraded() -> None:
    evidence = seen(rows=10_069, hollow={"minutes_played": 0, "opponent_strength_score": 10_068})
    verdict, reason = told(judge(evidence, FILLED, day(), about()))
    assert verdict == "degraded"
    assert reason == "opponent_strength_score is NULL or zero in 10068 of 10069 rows, at most 50 % may"


def test_a_column_may_be_empty_in_the_share_that_is_allowed() -> None:
    evidence = seen(rows=10, hollow={"minutes_played": 5, "opponent_strength_score": 0})
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
        (seen(rows=110, hollow={"minutes_played": 0}), FILLED),
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
