"""The plan: what would run, why, in which order, and what cannot run."""

import shlex
from typing import Any

import pytest

from backfilld.api.schemas import plans
from backfilld.daemon.reports.data_completeness import validation
from backfilld.daemon.reports.plan.plan import Recompute, compare
from backfilld.daemon.reports.plan.selection_and_force_options import RequestOptions
from backfilld.daemon.warehouses.adapter import WarehouseError
from backfilld.state.records import Sources
from tests.factories import NOW, nba, open_run, phase, pipeline, processor, run
from tests.fake_warehouse import FakeWarehouse
from tests.platform import OPENING, PRECOMPUTE, SOURCES, WINDOW, as_it_was
from tests.unit.plans import date, order, planned, small

TEAMS, PLAYS = "nbac_team_boxscore", "bigdataball_play_by_play"


# ---------------------------------------------------------------------------------------- what runs, and why


def test_a_date_without_anything_runs_phase_after_phase() -> None:
    small_nba, facts = small()
    made = planned(small_nba, facts, "2021-10-19")
    # The opener is in the bootstrap, so phase 4 is passed by
    assert order(made) == [
        "2021-10-19 nbac_team_boxscore",
        "2021-10-19 bigdataball_play_by_play",
        "2021-10-19 team_offense_game_summary",
        "2021-10-19 player_game_summary",
    ]
    assert [p.phase for p in made.phases] == ["phase2", "phase3", "phase4"]
    assert (made.done_dates, made.expected_dates) == (1, 1)


def test_what_is_complete_is_not_run_again() -> None:
    small_nba = nba()
    facts = FakeWarehouse(small_nba, calendar=OPENING)
    facts.fill(small_nba.processors, OPENING)
    made = planned(small_nba, facts, "2021-10-19", "2021-10-28")
    assert made.steps == []
    assert made.summary == "0 steps to run; 10 of 10 expected dates finish"


@pytest.mark.parametrize(
    ("rows", "closed", "reason"),
    [
        (0, None, "never ran: no rows, no run recorded"),
        (2, None, "partial: 2 of 16 rows"),
        (88, None, "excess: 88 rows, at most 16 for 8 games"),
        (0, run(succeeded=False, detail="404"), "failed: no rows, the latest run failed (404)"),
    ],
)
def test_a_step_says_why_it_has_to_run(rows: int, closed: Any, reason: str) -> None:
    small_nba, facts = small()
    facts.rows[TEAMS, date("2021-10-19")] = rows
    facts.closed = {(TEAMS, date("2021-10-19")): closed} if closed else {}
    first = planned(small_nba, facts, "2021-10-19").steps[0]
    assert (first.processor, first.reason) == (TEAMS, reason)


def test_a_step_waits_for_what_it_names_and_for_the_phase_before() -> None:
    after = pipeline(
        phase("phase2", processor("box")),
        phase("phase3", processor("players", after=["teams"]), processor("teams")),
    )
    made = planned(after, FakeWarehouse(after, calendar=OPENING), "2021-10-19")
    assert order(made) == ["2021-10-19 box", "2021-10-19 teams", "2021-10-19 players"]
    box, teams, players = made.steps
    assert (box.needs, teams.needs, players.needs) == ([], [1], [1, 2])
    assert players.waits_for == ["phase2 of the same date", "teams"]


def test_a_sequential_phase_is_planned_step_by_step_oldest_date_first() -> None:
    platform = as_it_was()
    facts = FakeWarehouse(platform, calendar=OPENING)
    facts.fill([name for name in platform.processors if name not in PRECOMPUTE], OPENING)
    made = planned(platform, facts, "2021-10-19", "2021-10-28")
    days = ("2021-10-26", "2021-10-27", "2021-10-28")
    assert order(made) == [f"{day} {name}" for day in days for name in PRECOMPUTE]
    first, second = made.steps[:2]
    assert first.waits_for == [
        "phase3 of the same date",
        "phase3 of every date from 2021-10-19 to 2021-10-25",
    ]
    assert (second.needs, second.waits_for) == ([1], ["team_defense_zone_analysis, the step before"])


@pytest.mark.parametrize(
    ("days_back", "dates"), [(1, "2021-10-25"), (2, "every date from 2021-10-24 to 2021-10-25")]
)
def test_a_step_that_needs_one_earlier_date_names_that_date(days_back: int, dates: str) -> None:
    needs = [{"of": "box", "days_back": days_back}]
    small = pipeline(phase("raw", processor("box")), phase("sum", processor("total", needs=needs)))
    facts = FakeWarehouse(small, calendar=OPENING)
    facts.fill(["box"], [date("2021-10-24"), date("2021-10-25"), date("2021-10-26")])
    (step,) = planned(small, facts, "2021-10-26").steps
    assert step.waits_for == ["raw of the same date", f"raw of {dates}"]


def test_the_window_is_refused_in_phase_4_while_the_season_before_it_is_not_there() -> None:
    # Given the test window, with a calendar that knows one earlier date of the season
    platform = as_it_was()
    earlier = {date("2023-10-24"): 2}
    facts = FakeWarehouse(platform, calendar=earlier | WINDOW)
    facts.fill(SOURCES, earlier | WINDOW)
    # When it is planned
    made = planned(platform, facts, "2024-01-15", "2024-01-28")
    # Then phase 3 of the window is planned, and phase 4 is refused with the hole's name
    assert {step.phase for step in made.steps} == {"phase3"}
    assert len(made.steps) == 14 * 5
    (refused,) = made.cannot_run
    assert (refused.phase, len(refused.dates)) == ("phase4", 14)
    assert refused.reason == "2023-10-24 lacks player_game_summary (never_ran)"
    assert refused.processors == list(PRECOMPUTE)
    assert made.done_dates == 0


def test_a_hole_inside_the_range_is_no_hole_when_the_plan_fills_it() -> None:
    platform = as_it_was()
    facts = FakeWarehouse(platform, calendar=OPENING)
    facts.fill(platform.processors, OPENING)
    facts.rows["player_game_summary", date("2021-10-20")] = 0
    facts.rows["team_defense_zone_analysis", date("2021-10-27")] = 0
    made = planned(platform, facts, "2021-10-19", "2021-10-28")
    assert order(made) == ["2021-10-20 player_game_summary", "2021-10-27 team_defense_zone_analysis"]
    assert made.cannot_run == []


def test_a_date_that_is_blocked_bars_the_later_ones_from_phase_4() -> None:
    # Given a critical source that is trusted to have no data, and a run that found nothing on one date
    platform = as_it_was(jobs={"no_data": "trust"})
    facts = FakeWarehouse(platform, calendar=OPENING)
    facts.fill([name for name in platform.processors if name not in PRECOMPUTE], OPENING)
    for name in (SOURCES[1], "player_game_summary"):
        facts.rows[name, date("2021-10-24")] = 0
    facts.closed = {(SOURCES[1], date("2021-10-24")): run()}
    made = planned(platform, facts, "2021-10-19", "2021-10-28")
    assert made.steps == []
    reasons = {stop.phase: (len(stop.dates), stop.reason) for stop in made.cannot_run}
    assert reasons["phase2"][1].startswith("nbac_team_boxscore: no data: the latest run succeeded")
    assert reasons["phase4"] == (3, "2021-10-24 lacks player_game_summary (never_ran)")


def test_an_open_run_is_not_planned_over() -> None:
    small_nba, facts = small()
    facts.open = {(TEAMS, date("2021-10-19")): open_run(hours_ago=0.5)}
    made = planned(small_nba, facts, "2021-10-19")
    assert order(made) == []
    (stop,) = made.cannot_run
    assert (stop.phase, stop.processors) == ("phase2", [TEAMS, "bigdataball_play_by_play"])
    assert stop.reason.startswith("an open run of nbac_team_boxscore")


def test_a_table_that_cannot_be_asked_is_not_planned_over() -> None:
    small_nba, facts = small()
    facts.broken = {TEAMS: "nba.nbac_team_boxscore: no such column"}
    (stop,) = planned(small_nba, facts, "2021-10-19").cannot_run
    assert stop.reason == "nba.nbac_team_boxscore: no such column"


def test_a_fallback_that_is_complete_stands_in() -> None:
    standing_in = pipeline(
        phase(
            "phase2",
            processor("gamebook", fallbacks=["bdl"], no_data="trust"),
            processor("bdl", priority="fallback"),
        )
    )
    facts = FakeWarehouse(standing_in, calendar=OPENING, closed={("gamebook", date("2021-10-19")): run()})
    facts.rows["bdl", date("2021-10-19")] = 51
    made = planned(standing_in, facts, "2021-10-19")
    assert made.steps == []
    (waiver,) = made.waivers
    assert (waiver.processor, waiver.by, waiver.dates) == ("gamebook", "fallback", [date("2021-10-19")])


# ------------------------------------------------------------------------------- how long, and what it costs


def test_seconds_come_from_past_attempts_else_the_estimate_else_are_unknown() -> None:
    timed = pipeline(
        phase("phase2", processor("past", estimate="9s"), processor("told", estimate="9s"), processor("new"))
    )
    facts = FakeWarehouse(timed, calendar=OPENING)
    made = planned(timed, facts, "2021-10-19", typical_seconds={"past": 20.0}.get)
    told = {step.processor: (step.seconds, step.basis) for step in made.steps}
    assert told == {"past": (20.0, "past attempts"), "told": (9.0, "estimate"), "new": (None, "unknown")}
    assert (made.seconds, made.unknown_steps) == (20.0, 1)


def test_a_batch_is_estimated_by_its_dates() -> None:
    batches = pipeline(phase("phase2", processor("box", command=["true", "{start}"], batch=3, estimate="9s")))
    (step,) = planned(batches, FakeWarehouse(batches, calendar=OPENING), "2021-10-19", "2021-10-21").steps
    assert step.seconds == 27.0


def test_a_batch_takes_as_long_as_its_dates_took_before() -> None:
    batches = pipeline(phase("phase2", processor("box", command=["true", "{start}"], batch=3)))
    facts, past = FakeWarehouse(batches, calendar=OPENING), {"box": 4.0}.get
    (step,) = planned(batches, facts, "2021-10-19", "2021-10-21", typical_seconds=past).steps
    assert (step.seconds, step.basis) == (12.0, "past attempts")


def test_a_parallel_phase_takes_as_long_as_its_slowest_table() -> None:
    # Given two tables with one writer each: 10 dates of 40 s beside 10 dates of 10 s
    parallel = pipeline(
        phase("phase3", processor("defense", estimate="40s"), processor("offense", estimate="10s"))
    )
    made = planned(parallel, FakeWarehouse(parallel, calendar=OPENING), "2021-10-19", "2021-10-28")
    assert made.seconds == 400.0


def test_with_one_slot_a_parallel_phase_takes_the_sum() -> None:
    parallel = pipeline(
        phase("phase3", processor("defense", estimate="40s"), processor("offense", estimate="10s")),
        jobs={"slots": 1},
    )
    made = planned(parallel, FakeWarehouse(parallel, calendar=OPENING), "2021-10-19", "2021-10-28")
    assert made.seconds == 500.0


def test_a_pool_of_one_slot_lets_a_parallel_phase_take_the_sum() -> None:
    calls = [
        processor(name, estimate=f"{n}s", pool="vendor_api") for name, n in (("defense", 40), ("offense", 10))
    ]
    parallel = pipeline(phase("phase3", *calls), pool=[{"name": "vendor_api", "size": 1}])
    made = planned(parallel, FakeWarehouse(parallel, calendar=OPENING), "2021-10-19", "2021-10-28")
    assert made.seconds == 500.0


def test_a_sequential_phase_takes_the_sum() -> None:
    steps = phase(
        "phase4", processor("zones", estimate="30s"), processor("cache", estimate="50s"), order="sequential"
    )
    sequential = pipeline(phase("phase3", processor("teams", estimate="1s")), steps)
    made = planned(sequential, FakeWarehouse(sequential, calendar=OPENING), "2021-10-19", "2021-10-28")
    assert [p.seconds for p in made.phases] == [10.0, 800.0]
    assert made.seconds == 810.0


def test_the_cost_counts_questions_and_bytes() -> None:
    bigquery = nba(warehouse={"kind": "bigquery", "project": "p"})
    facts = FakeWarehouse(bigquery, calendar={date("2021-10-19"): 8})
    ten_mib = 10 * 2**20
    # When every table and the history cost the minimum
    made = planned(bigquery, facts, "2021-10-19", price=lambda wanted: ten_mib * (len(wanted) + 1))
    # Then: the calendar, everything once, and once more after each of four steps
    assert made.cost.queries == 1 + 2 * 5
    assert made.cost.bytes == 5 * ten_mib + 4 * round(5 * ten_mib / 4)
    assert made.cost.dollars == 0.0006


def test_a_price_that_cannot_be_asked_is_told_and_the_plan_stands() -> None:
    def refuse(_: object) -> int:
        raise WarehouseError("quota")

    small_nba, facts = small()
    made = planned(small_nba, facts, "2021-10-19", price=refuse)
    assert (made.cost.bytes, made.cost.note) == (None, "the price could not be asked: quota")
    assert len(made.steps) == 4


# --------------------------------------------------------------------------------------------- the choice


def test_the_choices_are_shown_side_by_side_with_the_coverage_each_leads_to() -> None:
    # Given five dates: the team boxscores are there on all but one, the plays on none
    small_nba = nba()
    days = list(OPENING)[:5]
    facts = FakeWarehouse(small_nba, calendar={day: OPENING[day] for day in days})
    facts.fill([TEAMS], days[:4])
    report = validation(small_nba, facts, days[0], days[-1], now=NOW)
    every, critical, none = compare(report, small_nba).options
    assert [p.sources for p in (every, critical, none)] == ["all", "critical", "none"]
    assert [p.coverage[0].percent for p in (every, critical, none)] == [100.0, 50.0, 40.0]
    assert [p.coverage[1].percent for p in (every, critical, none)] == [100.0, 100.0, 80.0]
    assert [p.done_dates for p in (every, critical, none)] == [5, 5, 4]
    assert "not run: sources none" in none.cannot_run[0].reason
    rows = plans.Comparison.plain(compare(report, small_nba))["options"]
    assert [(row["sources"], row["steps"]) for row in rows] == [("all", 16), ("critical", 11), ("none", 8)]


def test_sources_none_goes_on_without_what_is_not_critical() -> None:
    small_nba, facts = small()
    facts.fill([TEAMS], [date("2021-10-19")])
    made = planned(small_nba, facts, "2021-10-19", options=RequestOptions(sources=Sources.NONE))
    assert [step.phase for step in made.steps] == ["phase3", "phase3"]
    (waiver,) = made.waivers
    assert (waiver.processor, waiver.by) == (PLAYS, "policy")


def test_its_json_has_everything_a_reader_needs() -> None:
    small_nba, facts = small()
    stale = Recompute(date=date("2021-11-26"), repaired=date("2021-11-25"), at=0.0, reason="b: why")
    told = plans.Plan.plain(planned(small_nba, facts, "2021-10-19", stale=[stale]))
    step = told["phases"][0]["steps"][0]
    assert (told["start"], told["sources"], step["number"]) == ("2021-10-19", "all", 1)
    assert step["argv"] == ["true", "2021-10-19"]
    assert shlex.split(step["shell"].strip("()"))[-2:] == ["true", "2021-10-19"]
    assert step["reasons"] == {"2021-10-19": "never ran: no rows, no run recorded"}
    (again,) = told["stale"]
    expected = {"date": "2021-11-26", "repaired": "2021-11-25", "at": "1970-01-01T00:00:00.000Z"}
    assert again == {**expected, "reason": "b: why", "failed": False, "remedy": "backfilld retry --stale"}
