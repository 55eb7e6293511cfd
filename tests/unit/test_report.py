"""The validation report: the brief's worked examples, and what a range lacks and why."""

import datetime as dt
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfilld.api.schemas import data_quality_reports
from backfilld.daemon.reports.data_completeness import (
    STATUSES,
    PhaseReport,
    ProcessorReport,
    Readiness,
    Validation,
    _symbol,
    validation,
)
from backfilld.daemon.reports.plan.plan import plan
from backfilld.daemon.warehouses.adapter import WarehouseError
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.rules.evidence import HistoryRun
from backfilld.state.rules.verdict import Verdict
from tests.factories import NOW, nba, open_run, phase, pipeline, processor, run
from tests.fake_warehouse import FakeWarehouse
from tests.platform import ANALYTICS, OPENING, PRECOMPUTE, SOURCES, WINDOW, as_it_was, as_the_brief_saw_it

GAMEBOOK = "nbac_gamebook_player_stats"


def date(text: str) -> dt.date:
    return dt.date.fromisoformat(text)


def validated(pipeline: Pipeline, facts: FakeWarehouse, start: str, end: str | None = None) -> Validation:
    return validation(pipeline, facts, date(start), date(end or start), now=NOW)


def phase_of(report: Validation, name: str) -> PhaseReport:
    return next(one for one in report.phases if one.phase == name)


def processor_of(report: Validation, name: str) -> ProcessorReport:
    return next(one for each in report.phases for one in each.processors if one.processor == name)


# ------------------------------------------------------- the brief's examples, under the brief's calendar


def test_2021_10_15_alone_has_one_source_of_five_and_phase_4_is_not_expected() -> None:
    # Given what the brief saw on that day: gamebook rows and nothing else
    platform = as_the_brief_saw_it()
    facts = FakeWarehouse(platform, rows={(GAMEBOOK, date("2021-10-15")): 67})
    # When the day is validated
    report = validated(platform, facts, "2021-10-15")
    # Then phase 2 has 1 of 5, and phase 4 shows 0/0 with the number of dates that explain it
    phase2, phase4 = phase_of(report, "phase2"), phase_of(report, "phase4")
    assert (phase2.complete, phase2.expected, phase2.percent) == (1, 5, 20.0)
    assert (processor_of(report, GAMEBOOK).symbol, processor_of(report, GAMEBOOK).percent) == ("✓", 100.0)
    assert [p.status for p in phase2.processors[1:]] == ["never ran"] * 4
    assert [p.symbol for p in phase2.processors[1:]] == ["○"] * 4
    assert (phase4.complete, phase4.expected, phase4.percent) == (0, 0, None)
    assert {p.note for p in phase4.processors} == {"1 date in the season's bootstrap"}
    assert phase4.ready


def test_the_first_two_weeks_show_71_percent_of_phase_2_and_0_of_7_in_phase_4() -> None:
    platform = as_the_brief_saw_it()
    facts = FakeWarehouse(platform)
    facts.fill(SOURCES, OPENING)
    report = validated(platform, facts, "2021-10-15", "2021-10-28")
    assert phase_of(report, "phase2").percent == 71.4
    assert {(p.complete, p.expected) for p in phase_of(report, "phase2").processors} == {(10, 14)}
    assert {(p.complete, p.expected) for p in phase_of(report, "phase4").processors} == {(0, 7)}
    assert (report.expected_dates, report.bootstrap_dates) == (14, 7)


def test_the_test_window_has_phase_2_and_lacks_the_rest() -> None:
    platform = as_the_brief_saw_it()
    facts = FakeWarehouse(platform)
    facts.fill(SOURCES, WINDOW)
    report = validated(platform, facts, "2024-01-15", "2024-01-28")
    assert [(p.percent, p.ready) for p in report.phases] == [(100.0, True), (0.0, False), (0.0, False)]
    assert {(p.complete, p.expected) for p in phase_of(report, "phase4").processors} == {(0, 14)}
    assert report.next_action.startswith("run phase3: 14 dates lack player_game_summary")


# -------------------------------------------------------------- the same, under the calendar as it really was


def test_2021_10_15_was_preseason_so_nothing_is_missing() -> None:
    platform = as_it_was()
    report = validated(platform, FakeWarehouse(platform, calendar=OPENING), "2021-10-15")
    assert (report.expected_dates, report.ready) == (0, True)
    assert report.off_dates == {date("2021-10-15"): "preseason: 2021-22 opens 2021-10-19"}
    assert processor_of(report, GAMEBOOK).note == "1 date with nothing on the calendar"
    assert report.next_action == ("nothing to do: no date is expected (preseason: 2021-22 opens 2021-10-19)")


def test_the_first_two_weeks_had_ten_dates_with_games_and_all_ten_are_there() -> None:
    platform = as_it_was()
    facts = FakeWarehouse(platform, calendar=OPENING)
    facts.fill(SOURCES, OPENING)
    report = validated(platform, facts, "2021-10-15", "2021-10-28")
    assert phase_of(report, "phase2").percent == 100.0
    assert {(p.complete, p.expected, p.off) for p in phase_of(report, "phase2").processors} == {(10, 10, 4)}
    # And phase 4 begins a week after the opener, not after the 15th
    assert {(p.expected, p.bootstrap) for p in phase_of(report, "phase4").processors} == {(3, 7)}
    assert report.summary == (
        "10 dates expected (4 off, 7 in bootstrap); ready: phase2 10/10, phase3 0/10, phase4 0/3"
    )


def test_the_test_window_by_the_schedule_is_14_dates() -> None:
    platform = as_it_was()
    facts = FakeWarehouse(platform, calendar=WINDOW)
    facts.fill(SOURCES, WINDOW)
    report = validated(platform, facts, "2024-01-15", "2024-01-28")
    assert [(p.ready_dates, p.expected_dates) for p in report.phases] == [(14, 14), (0, 14), (0, 14)]


# ------------------------------------------------------------------------------------------ what is told


def small(games: int = 8, **keys: Any) -> tuple[Pipeline, FakeWarehouse]:
    """The pipeline in small, and a warehouse with nothing in it on 2021-10-26."""
    small_nba = nba(**keys)
    return small_nba, FakeWarehouse(small_nba, calendar={date("2021-10-26"): games})


def test_it_asks_the_calendar_once_and_the_warehouse_once() -> None:
    platform = as_it_was()
    facts = FakeWarehouse(platform, calendar=OPENING)
    validated(platform, facts, "2021-10-15", "2021-10-28")
    assert facts.asked == ["counts", "validation"]


def test_an_unreachable_warehouse_is_told_and_no_report_is_made_up() -> None:
    small_nba, facts = small()
    facts.down = "BigQuery did not answer within 120 s"
    with pytest.raises(WarehouseError, match="did not answer"):
        validated(small_nba, facts, "2021-10-26")


def test_a_broken_table_is_unknown_and_leaves_the_others() -> None:
    small_nba, facts = small()
    facts.broken = {"nbac_team_boxscore": "nba.nbac_team_boxscore: no such column"}
    facts.rows = {("bigdataball_play_by_play", date("2021-10-26")): 4000}
    report = validated(small_nba, facts, "2021-10-26")
    broken = processor_of(report, "nbac_team_boxscore")
    assert (broken.symbol, broken.status, broken.verdicts) == ("△", "unknown", {"unknown": 1})
    assert processor_of(report, "bigdataball_play_by_play").complete == 1
    assert phase_of(report, "phase2").dates == {date("2021-10-26"): Readiness.WAITING}
    assert report.next_action == (
        "find out why phase2 cannot be judged, then validate again: nba.nbac_team_boxscore: no such column"
    )


@pytest.mark.parametrize(
    ("closed", "rows", "symbol", "status"),
    [
        (None, 0, "○", "never ran"),
        (run(), 0, "○", "ran but no data"),
        (run(succeeded=False, detail="404"), 0, "✗", "failed"),
        (None, 2, "⚠", "partly"),
        (None, 88, "⚠", "partly"),
        (None, 16, "✓", "complete"),
    ],
)
def test_a_processor_shows_the_sign_that_operators_know(
    closed: HistoryRun | None, rows: int, symbol: str, status: str
) -> None:
    small_nba, facts = small()
    pair = ("nbac_team_boxscore", date("2021-10-26"))
    facts.rows[pair] = rows
    facts.closed = {pair: closed} if closed else {}
    told = processor_of(validated(small_nba, facts, "2021-10-26"), "nbac_team_boxscore")
    assert (told.symbol, told.status) == (symbol, status)


def test_every_date_of_a_processor_is_told_with_rows_and_reason() -> None:
    small_nba, facts = small(games=11)
    facts.rows = {("nbac_team_boxscore", date("2021-10-26")): 88}
    told = processor_of(validated(small_nba, facts, "2021-10-26"), "nbac_team_boxscore")
    verdict = told.dates[date("2021-10-26")]
    assert (verdict.verdict, verdict.rows, verdict.expected) == ("excess", 88, "22")
    assert verdict.reason == "88 rows, at most 22 for 11 games"


def test_a_phase_is_ready_where_the_gate_would_open_even_with_a_gap() -> None:
    # Given a source that may be missing, which ran and found nothing, where that is proof enough
    small_nba, facts = small(jobs={"no_data": "trust"})
    facts.rows = {("nbac_team_boxscore", date("2021-10-26")): 16}
    facts.closed = {("bigdataball_play_by_play", date("2021-10-26")): run()}
    report = validated(small_nba, facts, "2021-10-26")
    # Then phase 2 is ready, although it is not complete
    phase2 = phase_of(report, "phase2")
    assert (phase2.ready, phase2.complete, phase2.expected) == (True, 1, 2)


def test_an_open_run_is_waited_for() -> None:
    small_nba, facts = small()
    facts.rows = {("bigdataball_play_by_play", date("2021-10-26")): 4000}
    facts.open = {("nbac_team_boxscore", date("2021-10-26")): open_run(hours_ago=0.5)}
    report = validated(small_nba, facts, "2021-10-26")
    assert processor_of(report, "nbac_team_boxscore").symbol == "▷"
    assert report.next_action == (
        "wait for an open run of nbac_team_boxscore: a run is open in the history, started 30 min 0 s ago"
        " (1 date of phase2), then validate again"
    )


def test_what_the_daemon_runs_now_is_waited_for() -> None:
    small_nba, facts = small()
    day = date("2021-10-26")
    before = validated(small_nba, facts, "2021-10-26")
    check = before.snapshot.checks[day]["nbac_team_boxscore"]
    # Given a daemon that has an attempt under way
    known = {day: {"nbac_team_boxscore": check._replace(attempt_id=31)}}
    facts.fill(["bigdataball_play_by_play"], [day])
    report = validation(small_nba, facts, day, day, now=NOW, known=known)
    # Then the report says so, and no plan starts it twice
    assert report.next_action == (
        "wait for an attempt that is running (1 date of phase2), then validate again"
    )
    made = plan(report, small_nba)
    assert [(stop.phase, stop.reason) for stop in made.cannot_run] == [
        ("phase2", "an attempt that is running")
    ]
    assert made.steps == []


def test_our_own_attempt_explains_rows_that_never_came() -> None:
    small_nba, facts = small()
    day = date("2021-10-26")
    check = validated(small_nba, facts, "2021-10-26").snapshot.checks[day]["nbac_team_boxscore"]
    ended = check._replace(
        output="nba.nbac_team_boxscore",
        last_attempt_started_at=NOW - 60,
        last_attempt_ended_at=NOW - 30,
        last_attempt_succeeded=True,
    )
    known = {day: {"nbac_team_boxscore": ended}}
    report = validation(small_nba, facts, day, day, now=NOW, known=known)
    assert processor_of(report, "nbac_team_boxscore").status == "ran but no data"
    # But not those of another table, which the file named before
    known = {day: {"nbac_team_boxscore": ended._replace(output="nba.boxscore_v1")}}
    report = validation(small_nba, facts, day, day, now=NOW, known=known)
    assert processor_of(report, "nbac_team_boxscore").status == "never ran"


@given(st.sets(st.sampled_from(Verdict)))
def test_every_status_of_a_processor_is_one_of_the_words(verdicts: set[Verdict]) -> None:
    assert _symbol(Counter(verdicts - {Verdict.NOT_EXPECTED}))[1] in STATUSES


def test_what_an_operator_accepted_opens_the_gate_and_is_told() -> None:
    small_nba, facts = small()
    day = date("2021-10-26")
    facts.fill(["bigdataball_play_by_play"], [day])
    check = validated(small_nba, facts, "2021-10-26").snapshot.checks[day]["nbac_team_boxscore"]
    accepted = check._replace(accepted_by="ann", accepted_reason="never recorded")
    known = {day: {"nbac_team_boxscore": accepted}}
    report = validation(small_nba, facts, day, day, now=NOW, known=known)
    assert phase_of(report, "phase2").ready
    cell = processor_of(report, "nbac_team_boxscore").dates[day]
    assert cell.reason == "no rows, no run recorded; accepted by ann: never recorded"


def test_a_hole_before_the_range_is_named_before_phase_4_is_advised() -> None:
    # Given two weeks that are whole, save for one date before the range
    small_nba = nba()
    facts = FakeWarehouse(small_nba, calendar=OPENING)
    facts.fill([p for p in small_nba.processors if "zone" not in p and "cache" not in p], OPENING)
    facts.rows["player_game_summary", date("2021-10-21")] = 0
    # When a later date is validated
    report = validated(small_nba, facts, "2021-10-28")
    # Then phase 4 cannot start, and the hole is named
    assert [str(missing) for missing in phase_of(report, "phase4").missing_upstream] == [
        "2021-10-21 lacks player_game_summary (never_ran)"
    ]
    assert report.next_action == (
        "fill what phase4 depends on first: 2021-10-21 lacks player_game_summary (never_ran)"
    )


def test_a_complete_range_has_nothing_to_do() -> None:
    small_nba = nba()
    facts = FakeWarehouse(small_nba, calendar=OPENING)
    facts.fill(small_nba.processors, OPENING)
    report = validated(small_nba, facts, "2021-10-19", "2021-10-28")
    assert report.ready
    assert report.next_action == "nothing to do: 10 dates expected, ready in every phase"


def test_the_next_action_names_the_three_that_lack_most_and_counts_the_rest() -> None:
    many = pipeline(phase("phase2", *(processor(f"source_{letter}") for letter in "abcde")))
    facts = FakeWarehouse(many, calendar=OPENING)
    facts.fill(["source_a"], list(OPENING)[:9])
    report = validated(many, facts, "2021-10-19", "2021-10-28")
    assert report.next_action == (
        "run phase2: 10 dates lack source_b, 10 dates lack source_c, 10 dates lack source_d and 2 more;"
        " see the plan"
    )


def test_an_inverted_range_is_refused() -> None:
    small_nba, facts = small()
    with pytest.raises(ValueError, match="start 2021-10-28 is after end 2021-10-26"):
        validated(small_nba, facts, "2021-10-28", "2021-10-26")


def test_its_json_has_the_published_shape() -> None:
    small_nba, facts = small()
    told = data_quality_reports.Validation.plain(validated(small_nba, facts, "2021-10-26"))
    assert (told["start"], told["expected_dates"], told["bootstrap_dates"]) == ("2021-10-26", 1, 0)
    assert "snapshot" not in told
    first = told["phases"][0]
    assert (first["phase"], first["ready"]) == ("phase2", False)
    source = first["processors"][0]
    assert {key: source[key] for key in ("processor", "priority", "complete", "expected", "verdicts")} == {
        "processor": "nbac_team_boxscore",
        "priority": "critical",
        "complete": 0,
        "expected": 1,
        "verdicts": {"never_ran": 1},
    }
    assert source["dates"] == {
        "2021-10-26": {
            "verdict": "never_ran",
            "rows": 0,
            "expected": "16",
            "reason": "no rows, no run recorded",
        }
    }


@pytest.mark.parametrize("names", [ANALYTICS, PRECOMPUTE])
def test_phases_are_told_in_the_order_of_the_file(names: tuple[str, ...]) -> None:
    platform = as_it_was()
    report = validated(platform, FakeWarehouse(platform, calendar=OPENING), "2021-10-26")
    assert names in [tuple(p.processor for p in each.processors) for each in report.phases]
