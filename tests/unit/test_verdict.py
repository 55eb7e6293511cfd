"""What evidence means: every row of the table of verdicts, and the traps that the platform sprang."""

from typing import Any

import pytest

from backfilld.state.rules.evidence import Evidence, HistoryRun
from backfilld.state.rules.expectation_suite import Expectation
from backfilld.state.rules.judge import Judgement, judge
from backfilld.state.rules.verdict import Verdict
from tests.factories import HOUR, NOW, about, day, expectation, open_run, run, seen

TWO_PER_GAME = expectation(rows_per={"games": [2, 2]})
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
    assert told(judgement) == ("excess", f"{rows} rows, at most 22 for 11 games")


def test_degraded_is_the_right_number_of_bad_rows() -> None:
    rule = expectation(quality={"where": "completeness_percentage >= 95", "share": 0.9})
    verdict, reason = told(judge(seen(rows=20, passing_rows=17), rule, EIGHT_GAMES, about()))
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
    [
        {"rows": -1},
        {"rows": 3, "distinct": {"game_id": 4}},
        {"rows": 3, "passing_rows": 4},
        {"rows": 3, "empty_counts": {"x": 4}},
    ],
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
        "untouched": "⚠",
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
    judgement = judge(seen(), TWO_PER_GAME, EIGHT_GAMES, about(last_attempt=own))
    assert told(judgement) == ("no_data", "the latest run succeeded (exit 0), but there are no rows")


def test_exit_1_with_all_rows_is_complete() -> None:
    own = run(succeeded=False, detail="exit 1")
    assert told(judge(seen(rows=16), TWO_PER_GAME, EIGHT_GAMES, about(last_attempt=own)))[0] == "complete"


def test_exit_0_with_two_of_sixteen_teams_is_partial() -> None:
    own = run(succeeded=True, detail="exit 0")
    assert told(judge(seen(rows=2), TWO_PER_GAME, EIGHT_GAMES, about(last_attempt=own))) == (
        "partial",
        "2 of 16 rows",
    )


def test_without_rows_the_run_that_started_last_explains_the_absence() -> None:
    failed, succeeded = run(succeeded=False, hours_ago=2), run(succeeded=True, hours_ago=1)
    newest_history = judge(seen(closed=succeeded), TWO_PER_GAME, day(), about(last_attempt=failed))
    newest_own = judge(seen(closed=run(hours_ago=3)), TWO_PER_GAME, day(), about(last_attempt=failed))
    assert told(newest_history)[0] == "no_data"
    assert told(newest_own)[0] == "failed"


def test_our_own_attempt_that_still_runs_explains_nothing_yet() -> None:
    assert told(judge(seen(), TWO_PER_GAME, day(), about(last_attempt=open_run())))[0] == "never_ran"


def test_a_closed_run_counts_though_the_history_lacks_its_end() -> None:
    closed = HistoryRun(succeeded=False, started_at=NOW - HOUR, detail="partial")
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
    rule = expectation(rows_per={"games": [2, 2]}, quality={"where": "ok", "share": 0.9})
    evidence = seen(rows=rows, passing_rows=good)
    assert told(judge(evidence, rule, EIGHT_GAMES, about()))[0] in ("partial", "excess", "degraded")
    waiting = seen(rows=rows, passing_rows=good, open=open_run())
    assert told(judge(waiting, rule, EIGHT_GAMES, about()))[0] == "running"


def test_our_own_attempts_leftover_open_run_does_not_block() -> None:
    own = run(succeeded=False, hours_ago=1, lasted=600)
    leftover = HistoryRun(succeeded=False, started_at=own.started_at + 5)
    judgement = judge(seen(open=leftover), TWO_PER_GAME, EIGHT_GAMES, about(last_attempt=own))
    assert told(judgement)[0] == "failed"


def test_nor_does_the_leftover_of_an_attempt_before_the_latest() -> None:
    first, second = run(succeeded=False, hours_ago=2), run(succeeded=False, hours_ago=1)
    leftover = HistoryRun(succeeded=False, started_at=first.started_at + 5)
    judgement = judge(
        seen(open=leftover), TWO_PER_GAME, day(), about(last_attempt=second, previous_attempts=(first,))
    )
    assert told(judgement)[0] == "failed"


def test_a_run_of_others_after_our_attempt_is_waited_for() -> None:
    own = run(succeeded=False, hours_ago=2)
    judgement = judge(seen(open=open_run(hours_ago=1)), TWO_PER_GAME, day(), about(last_attempt=own))
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


# ------------------------------------------------------------------------------------------- rewrites


def rerun(evidence: Evidence, *, before: str | None = "a", **attempt: Any) -> tuple[str, str]:
    """The verdict of 10 rows after an attempt that was to rewrite them."""
    context = about(last_attempt=run(**attempt), rewrite=True, stamp_before=before)
    return told(judge(evidence, Expectation(), EIGHT_GAMES, context))


def test_a_rerun_that_changes_the_stamp_is_judged_by_its_rows() -> None:
    assert rerun(seen(rows=10, write_stamp="b")) == ("complete", "")


def test_a_rerun_that_leaves_the_stamp_is_untouched() -> None:
    verdict, reason = rerun(seen(rows=10, write_stamp="a"))
    assert verdict == "untouched"
    assert reason.startswith("exited 0, but the partition was not rewritten since ")


def test_a_rerun_that_leaves_too_few_rows_as_they_are_is_untouched_too() -> None:
    context = about(last_attempt=run(), rewrite=True, stamp_before="a")
    expectation = Expectation.model_validate({"rows": [20, 30]})
    assert told(judge(seen(rows=10, write_stamp="a"), expectation, EIGHT_GAMES, context))[0] == "untouched"


@pytest.mark.parametrize("stamp", ["a", "b", None])
def test_a_rerun_that_did_not_exit_with_0_has_failed_whatever_is_there(stamp: str | None) -> None:
    verdict = rerun(seen(rows=10, write_stamp=stamp), succeeded=False, detail="exit 3: no space")
    assert verdict == ("failed", "the rerun failed (exit 3: no space); 10 rows of it or from before")


@pytest.mark.parametrize(("before", "after"), [(None, "a"), ("a", None), (None, None)])
def test_a_rerun_of_which_the_warehouse_cannot_tell_stands_and_says_so(
    before: str | None, after: str | None
) -> None:
    evidence = seen(rows=10, write_stamp=after)
    assert rerun(evidence, before=before) == ("complete", "rewrite not provable here")


def test_a_rerun_that_leaves_no_rows_is_judged_as_any_other_job() -> None:
    assert rerun(seen(write_stamp="a"))[0] == "no_data"
    assert rerun(seen(write_stamp="a"), succeeded=False)[0] == "failed"


def test_stamps_say_nothing_where_no_attempt_was_to_rewrite() -> None:
    context = about(last_attempt=run(succeeded=False), stamp_before="a")
    assert told(judge(seen(rows=10, write_stamp="a"), Expectation(), EIGHT_GAMES, context))[0] == "complete"


@pytest.mark.parametrize(
    ("hours_ago", "since"),
    [
        (1 / 360, "started 10 s ago"),
        (0.5, "started 30 min 0 s ago"),
        (-0.5, "started 30 min 0 s in the future; check `timezone` of [history] and the clocks"),
    ],
)
def test_the_start_of_an_open_run_is_told_to_the_second_and_one_in_the_future_with_its_remedy(
    hours_ago: float, since: str
) -> None:
    judgement = judge(seen(open=open_run(hours_ago=hours_ago)), TWO_PER_GAME, EIGHT_GAMES, about())
    assert told(judgement) == ("running", f"a run is open in the history, {since}")
