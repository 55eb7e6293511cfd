"""The platform's incidents, each shown caught: one test per incident of docs/incidents.md, by its number.

Where the platform's own pipeline file says what to expect, it is that file which judges here.
"""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path

from backfilld.daemon.event_types import AttemptEnded, Incident
from backfilld.state.records import AttemptStatus
from backfilld.state.rules.evidence import HistoryRun
from backfilld.state.rules.judge import judge
from tests.acceptance.incidents.incident_driver import (
    CONTEXT,
    DAY,
    DEFENSE,
    FACTORS,
    GAMES,
    NO_DATA,
    OFFENSE,
    OPENER,
    PIPELINE,
    PLAYERS,
    TEAM_CONTEXT,
    asked,
    ends,
    failures,
    judged,
    launched,
    players,
    report_of,
    spoil,
    validated,
    verdict,
    well,
)
from tests.checkout import START, Checkout, Tables
from tests.factories import HOUR, about, open_run, phase, pipeline, processor, run, seen
from tests.fake_warehouse import FakeWarehouse, span
from tests.simulation.world import Work, World


def test_incident_1_four_sources_never_ran_on_a_preseason_date(world: World) -> None:
    receipt = world.enqueue(dt.date(2021, 10, 15), dt.date(2021, 10, 15))
    assert [(d.outcome.value, d.reason) for d in receipt.details] == [
        ("not_expected", "preseason: 2021-22 opens 2021-10-19")
    ]
    world.run()
    assert not world.executor.launched


def test_incident_2_three_empty_scripts_passed_the_preflight(checkout: Checkout) -> None:
    for name in (OFFENSE, DEFENSE, PLAYERS):
        checkout.write(name, "")
    told = asked(checkout)
    assert [line.partition(":")[0] for line in failures(told, "programs")] == [PLAYERS, DEFENSE, OFFENSE]
    assert told.exit_code == 1


def test_incident_3_backfills_would_have_triggered_phase_4_date_by_date(checkout: Checkout) -> None:
    checkout.spoil(OFFENSE, ', "skip_downstream_trigger": True', "")
    told = asked(checkout)
    assert failures(told, "requires") == [f"{OFFENSE}: skip_downstream_trigger is not set to True"]
    assert told.exit_code == 1


def test_incident_4_every_request_of_a_scraper_was_a_404(tmp_path: Path) -> None:
    games = {OPENER + dt.timedelta(days=n): 8 for n in range(40)}
    world = well(World(pipeline(phase("phase2", processor("box"))), games, tmp_path))
    spoil(world, "box", lambda date: Work(code=1))
    world.enqueue(OPENER, max(games))
    world.run()
    (hold,) = world.commands.holds()
    assert hold.reason.startswith("box is held: the same error 5 times in a row")
    assert launched(world)["box"] < 40, "it stopped long before every date was spent"


def test_incident_5_phase_4_ran_over_holes_in_phase_3(world: World) -> None:
    spoil(world, "team", lambda date: Work())
    assert ends(world) == ("blocked", NO_DATA.format("team"))
    assert launched(world).keys().isdisjoint({"zones", "factors"})


def test_incident_6_a_test_run_was_taken_for_a_backfill(world: World) -> None:
    facts = FakeWarehouse(PIPELINE, calendar=GAMES)
    facts.fill([OFFENSE], GAMES)
    facts.fill([DEFENSE], [START])
    told = validated(facts)
    assert (report_of(told, OFFENSE).percent, report_of(told, DEFENSE).percent) == (100.0, 10.0)
    assert not any(phase.ready for phase in told.phases)


def test_incident_7_backfilled_partitions_expire(checkout: Checkout) -> None:
    tables = Tables(checkout.pipeline)
    tables.change("nba_precompute.player_daily_cache", expiration_seconds=30 * 24 * HOUR)
    told = asked(checkout, tables=tables)
    assert failures(told, "partitions") == [
        "nba_precompute.player_daily_cache loses partitions after 30 days: rows of 2021-11-15 vanish at once"
    ]


def test_incident_8_a_score_was_zero_in_every_row() -> None:
    scored = {"filled": {"columns": ["opponent_strength_score"], "share": 0.5}}
    rule = pipeline(phase("phase4", processor("factors", expect=scored))).processors["factors"].expect
    rows = seen(rows=10_069, empty_counts={"opponent_strength_score": 10_068})
    found = judge(rows, rule, PIPELINE.seasons.day(DAY, {"games": 8}), about())
    assert found.verdict.value == "degraded"
    assert "opponent_strength_score" in found.reason


def test_incident_9_a_step_of_phase_4_ran_without_the_one_before(world: World) -> None:
    spoil(world, "zones", lambda date: Work())
    assert ends(world)[0] == "blocked"
    assert launched(world)["factors"] == 0


def test_incident_10_the_range_ended_a_month_early() -> None:
    december = dict.fromkeys(span("2021-11-20", "2021-12-10"), 8)
    facts = FakeWarehouse(PIPELINE, calendar=december)
    facts.fill(PIPELINE.processors, span("2021-11-20", "2021-11-30"))
    told = validated(facts)
    factors = report_of(told, FACTORS)
    assert (factors.complete, factors.expected) == (11, 21)
    assert factors.dates[dt.date(2021, 12, 1)].verdict.value == "never_ran"


def test_incident_11_complete_was_counted_against_what_was_there() -> None:
    games = dict.fromkeys(span("2021-10-19", "2022-04-03"), 8)
    facts = FakeWarehouse(PIPELINE, calendar=games)
    facts.fill([PLAYERS], sorted(games)[:117])
    players = report_of(validated(facts), PLAYERS)
    assert (players.complete, players.expected, players.percent) == (117, 167, 70.1)


def test_incident_12_a_job_hung_in_silence(world: World) -> None:
    work = Work(effect=lambda: world.fill("box", OPENER, 16))
    hanging = iter([Work(seconds=12 * HOUR)])
    spoil(world, "box", lambda date: next(hanging, work))
    world.enqueue(OPENER, OPENER)
    began = world.time
    while ("box", AttemptStatus.IDLE) not in world.attempts(OPENER):
        world.time += 60  # the daemon looks at running jobs all the time
        world.settle()
        assert world.time - began < HOUR
    hung = next(job for job in world.executor.launched if job.env["BACKFILLD_PROCESSOR"] == "box")
    assert hung.attempt not in world.executor.alive
    # And what a restart forgets is nothing: the date goes on where it stood
    world.start()
    world.run()
    assert world.dates()[OPENER].state == "done"


def test_incident_13_rows_were_written_twice(world: World) -> None:
    spoil(world, "team", lambda date: Work(effect=lambda: world.fill("team", date, 32)))
    outcome, reason = ends(world)
    assert (outcome, reason) == ("exhausted", "team: excess: 32 rows, at most 16 for 8 games; 1 attempt")
    assert launched(world)["factors"] == 0


def test_incident_14_the_playoffs_were_never_processed() -> None:
    games = dict.fromkeys(span("2022-04-01", "2022-06-16"), 2)
    facts = FakeWarehouse(PIPELINE, calendar=games)
    facts.fill([OFFENSE], [date for date in games if date <= dt.date(2022, 4, 10)])
    offense = report_of(validated(facts), OFFENSE)
    assert (offense.complete, offense.expected) == (10, 77)


def test_incident_15_minutes_played_was_null_in_almost_every_row() -> None:
    said, reason = verdict(PLAYERS, players((1, "30", "0.2"), (169, "NULL", "0.2")))
    assert said == "degraded"
    assert reason.startswith("1 of 170 rows (0.6 %) hold ")
    assert "minutes_played" in reason
    assert reason.endswith(", at least 80 % must")


def test_incident_16_two_of_sixteen_teams_were_written(world: World) -> None:
    two = seen(rows=2, distinct={"game_id": 1, "team_abbr": 2}, closed=run())
    assert verdict(OFFENSE, two) == ("partial", "2 of 16 rows")
    spoil(world, "team", lambda date: Work(effect=lambda: world.fill("team", date, 2)))
    assert ends(world) == ("exhausted", "team: partial: 2 of 16 rows; 3 attempts")
    assert launched(world)["team"] == 3
    assert launched(world).keys().isdisjoint({"player", "zones", "factors"})


def test_incident_17_ids_in_two_formats_filled_half_of_the_rows() -> None:
    said, reason = verdict(PLAYERS, players((81, "30", "0.2"), (89, "30", "NULL")))
    assert said == "degraded"
    assert reason.startswith("81 of 170 rows (47.6 %) hold ")
    assert "usage_rate" in reason


def test_incident_18_two_of_five_tables_were_looked_at_before_phase_4() -> None:
    facts = FakeWarehouse(PIPELINE, calendar=GAMES)
    facts.fill(PIPELINE.processors, GAMES)
    lacking = {DEFENSE: 1, CONTEXT: 5, TEAM_CONTEXT: 4}
    for name, dates in lacking.items():
        for date in list(GAMES)[:dates]:
            facts.rows[name, date] = 0
    told = validated(facts)
    assert {
        name: report_of(told, name).expected - report_of(told, name).complete for name in lacking
    } == lacking
    assert [phase.ready for phase in told.phases] == [True, False, False]
    assert told.next_action.startswith("run phase3")


def test_incident_19_one_of_187_players_was_a_success() -> None:
    assert verdict(FACTORS, seen(rows=1, passing_rows=1, reference=187, closed=run())) == (
        "partial",
        "1 of at least 169 rows",
    )
    assert verdict(FACTORS, seen(rows=68, passing_rows=68, reference=175, closed=run()))[0] == "partial"


def test_incident_20_a_failing_processor_was_run_seven_thousand_times(world: World) -> None:
    spoil(world, "box", lambda date: Work(code=1))
    world.enqueue(OPENER, OPENER)
    world.run()
    told = [event for event in world.events if isinstance(event, AttemptEnded) and event.processor == "box"]
    assert len(told) == 3
    # And what is not ready yet is waited for, and is no failure
    other = OPENER + dt.timedelta(days=1)
    world.warehouse.open["box", other] = HistoryRun(succeeded=False, started_at=world.time)
    world.enqueue(other, other)
    for _ in range(5):
        world.step()
    assert world.dates()[other].waiting == "open_run"
    assert not world.attempts(other) or world.attempts(other)[0][0] == "pbp"


def test_incident_21_a_table_took_more_load_jobs_than_a_day_has(tmp_path: Path) -> None:
    games = {OPENER + dt.timedelta(days=n): 8 for n in range(7)}
    box = processor("box", daily_attempts=3)
    world = well(World(pipeline(phase("phase2", box)), games, tmp_path))
    world.enqueue(OPENER, max(games))
    began = world.time
    while world.step() and world.time < began + HOUR:
        pass
    assert world.dates()[max(games)].state == "phase2"
    assert launched(world)["box"] == 3, "the rest waits for midnight in Los Angeles"
    world.run()
    assert not world.live()


def test_incident_22_success_with_no_records_was_false_both_ways() -> None:
    whole = seen(rows=16, distinct={"game_id": 8, "team_abbr": 16}, closed=run(detail="0 records"))
    assert judged(OFFENSE, whole).verdict.value == "complete"
    assert judged(OFFENSE, seen(rows=0, closed=run())).verdict.value == "no_data"


def test_incident_23_runs_that_were_never_closed_stopped_everything() -> None:
    assert judged(OFFENSE, seen(open=open_run(hours_ago=1))).verdict.value == "running"
    assert judged(OFFENSE, seen(open=open_run(hours_ago=5))).verdict.value == "never_ran"


def test_incident_24_light_days_failed_a_fixed_minimum() -> None:
    whole = seen(rows=2, distinct={"game_id": 1, "team_abbr": 2}, closed=run())
    assert verdict(OFFENSE, whole, games=1) == ("complete", "")
    assert verdict(OFFENSE, seen(), games=0)[0] == "not_expected"


def test_incident_26_a_loader_dropped_every_load_and_reported_success(world: World) -> None:
    spoil(world, "box", lambda date: Work(code=0))
    assert ends(world) == ("blocked", NO_DATA.format("box"))
    assert launched(world)["team"] == 0


def test_incident_27_orphans_hammered_old_dates_for_months(world: World, checkout: Checkout) -> None:
    # A run has an end
    spoil(world, "box", lambda date: Work(seconds=60 * 24 * HOUR))
    world.enqueue(OPENER, OPENER)
    world.run()
    assert not world.executor.alive
    # A season too
    assert [d.outcome.value for d in world.enqueue(dt.date(2022, 7, 1), dt.date(2022, 7, 1)).details] == [
        "not_expected"
    ]
    # And another's orphan on the same dates is named before anything starts
    facts = FakeWarehouse(checkout.pipeline, calendar=GAMES)
    facts.fill(checkout.pipeline.processors, GAMES)
    facts.open = {(PLAYERS, START): open_run(hours_ago=0.5, detail="nba-gamebook-backfill-ptvn6")}
    (found,) = next(one.findings for one in asked(checkout, facts=facts).results if one.check == "others")
    assert "nba-gamebook-backfill-ptvn6" in found.line


def test_incident_28_a_scraper_was_not_running_for_months() -> None:
    facts = FakeWarehouse(PIPELINE, calendar=GAMES)
    facts.fill(set(PIPELINE.processors) - {"nbac_team_boxscore"}, GAMES)
    told = validated(facts)
    boxscore = report_of(told, "nbac_team_boxscore")
    assert (boxscore.complete, boxscore.expected, boxscore.verdicts["never_ran"]) == (0, 10, 10)
    assert not told.phases[0].ready


def test_incident_29_the_client_asked_in_another_location(checkout: Checkout) -> None:
    tables = Tables(checkout.pipeline, lies_in="US")
    told = asked(checkout, tables=tables)
    assert "nba_raw lies in US, the pipeline file says us-west2" in failures(told, "location")
    assert told.exit_code == 1


def test_incident_30_six_hundred_mails_in_one_night_for_one_fault(tmp_path: Path) -> None:
    games = {OPENER + dt.timedelta(days=n): 8 for n in range(200)}
    world = World(pipeline(phase("phase2", processor("box"))), games, tmp_path)
    world.script = lambda job: Work(code=1)
    world.enqueue(OPENER, max(games))
    world.run()
    assert [event.kind for event in world.events if isinstance(event, Incident)] == ["breaker"]


def test_incident_31_two_thirds_of_the_players_were_covered() -> None:
    said, reason = verdict(FACTORS, seen(rows=120, passing_rows=120, reference=187, closed=run()))
    assert (said, reason) == ("partial", "120 of at least 169 rows")


def test_incident_32_a_view_on_an_empty_column_said_that_games_were_there() -> None:
    counted = {"rows_per": {"games": [2]}, "distinct": [{"column": "game_id", "per": "games"}]}
    rule = pipeline(phase("phase2", processor("bdl", expect=counted))).processors["bdl"].expect
    found = judge(
        seen(rows=200, distinct={"game_id": 5}), rule, PIPELINE.seasons.day(DAY, {"games": 8}), about()
    )
    assert found.verdict.value == "partial"
    assert found.reason == "5 distinct game_id, at least 8 for 8 games"


def test_incident_33_schedules_were_missing_and_sources_found_nothing_to_do(
    world: World, checkout: Checkout
) -> None:
    spoil(world, "box", lambda date: Work(code=0))
    assert ends(world)[0] == "blocked"
    told = asked(checkout, facts=FakeWarehouse(checkout.pipeline, calendar={}))
    assert failures(told, "calendar") == ["no date from 2021-11-15 to 2021-11-24 is expected"]


# -------------------------------------------------------------------------------------- the table of them

TABLE = (Path(__file__).parents[3] / "docs" / "incidents.md").read_text(encoding="utf-8")
TESTS = {name for name in globals() if name.startswith("test_incident_")}


def test_the_table_and_the_tests_agree() -> None:
    caught = dict(re.findall(r"^\| (\d+) \|.*\| `(test_incident_\w+)` \|$", TABLE, re.MULTILINE))
    others = set(re.findall(r"^\| (\d+) \|", TABLE, re.MULTILINE)) - caught.keys()
    assert set(caught.values()) == TESTS
    assert all(name.startswith(f"test_incident_{number}_") for number, name in caught.items())
    assert {int(number) for number in (*caught, *others)} == set(range(1, 34))
    assert len(caught) >= 25
