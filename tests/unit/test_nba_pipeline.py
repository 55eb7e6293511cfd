"""The platform's real pipeline: that it loads, and what it makes of November 2021 as it was found."""

import datetime as dt
import re
import tomllib
from pathlib import Path

import pytest

from backfilld.daemon.adapters import load_pipeline, parse_pipeline
from backfilld.daemon.reports.data_completeness import Readiness, Validation, validation
from backfilld.daemon.reports.plan.plan import plan
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.pipeline.semantic_validation import warnings
from backfilld.state.rules.verdict import Verdict
from tests.checkout import make
from tests.factories import NOW, run
from tests.fake_warehouse import FakeWarehouse
from tests.platform import NOVEMBER_2021 as FOUND
from tests.platform import NOVEMBER_TABLES as TABLES

PATH = Path(__file__).parents[2] / "pipelines" / "nba.toml"
NBA = load_pipeline(PATH)


def november(day: int) -> dt.date:
    return dt.date(2021, 11, day)


def as_found(pipeline: Pipeline = NBA) -> FakeWarehouse:
    """The warehouse of that month, with all sources there."""
    facts = FakeWarehouse(pipeline, calendar={november(day): games for day, (games, _) in FOUND.items()})
    facts.fill([p.name for p in pipeline.phase[0].processor], [november(day) for day in FOUND if day != 25])
    for day, (_, rows) in FOUND.items():
        for name, count in zip(TABLES, rows, strict=True):
            facts.rows[name, november(day)] = count
    return facts


def validated(facts: FakeWarehouse, first: int = 15, last: int = 30) -> Validation:
    return validation(facts.pipeline, facts, november(first), november(last), now=NOW)


def verdicts(told: Validation, name: str) -> dict[int, Verdict]:
    (found,) = [p for phase in told.phases for p in phase.processors if p.processor == name]
    return {date.day: cell.verdict for date, cell in found.dates.items()}


# ---------------------------------------------------------------------------------------- as it is written


def test_it_has_five_sources_five_analytics_and_four_strict_steps() -> None:
    assert [(p.name, p.order, len(p.processor)) for p in NBA.phase] == [
        ("phase2", "parallel", 5),
        ("phase3", "parallel", 5),
        ("phase4", "sequential", 4),
    ]
    assert [p.name for p in NBA.phase[2].processor] == [
        "team_defense_zone_analysis",
        "player_shot_zone_analysis",
        "player_composite_factors",
        "player_daily_cache",
    ]


def test_the_feature_store_is_switched_on_by_taking_comment_signs_away() -> None:
    text = PATH.read_text()
    at = text.index("# [[phase.processor]]")
    switched_on = text[:at] + re.sub(r"^# ?", "", text[at:], flags=re.MULTILINE)
    copy = PATH.with_suffix(".switched-on.toml")

    pipeline = parse_pipeline(tomllib.loads(switched_on), copy)
    assert pipeline.stages[-1].name == "phase4-step-5"
    assert pipeline.stages[-1].processors[0].table == "nba_predictions.ml_feature_store_v2"


def test_every_phase_3_job_must_carry_the_skip_option() -> None:
    assert {p.requires for p in NBA.phase[1].processor} == {("skip_downstream_trigger",)}


def test_every_table_is_known_to_the_history_by_its_class() -> None:
    assert NBA.processors["nbac_gamebook_player_stats"].history_names == ("NbacGamebookProcessor",)
    assert NBA.processors["bdl_player_boxscores"].history_names == (
        "BdlPlayerBoxScoresProcessor",
        "BdlBoxscoresProcessor",
    )
    assert all(name.endswith("Processor") for p in NBA.processors.values() for name in p.history_names)


def test_no_job_is_given_more_than_one_date_at_a_time() -> None:
    assert {p.batch for p in NBA.processors.values()} == {1}
    assert all("{date}" in p.command for p in NBA.processors.values())
    assert not any("--parallel" in p.command for p in NBA.processors.values())


def test_five_seasons_from_opener_to_the_end_of_the_finals() -> None:
    assert [(s.opens.isoformat(), s.closes.isoformat()) for s in NBA.calendar.season] == [
        ("2021-10-19", "2022-06-16"),
        ("2022-10-18", "2023-06-12"),
        ("2023-10-24", "2024-06-17"),
        ("2024-10-22", "2025-06-22"),
        ("2025-10-21", "2026-06-30"),
    ]


def test_the_calendar_counts_each_game_once_and_only_when_it_is_over() -> None:
    query = NBA.calendar.query or ""
    assert "COUNT(DISTINCT game_id)" in query
    assert "game_status = 3" in query


# -------------------------------------------------------------------------- November 2021, as it was found


def test_88_team_rows_for_11_games_are_an_excess() -> None:
    told = validated(as_found())
    (offense,) = [p for p in told.phases[1].processors if p.processor == "team_offense_game_summary"]
    cell = offense.dates[november(15)]
    assert (cell.verdict, cell.reason) == (Verdict.EXCESS, "88 rows, at most 22 for 11 games")


def test_thanksgiving_is_not_expected_although_two_tables_have_rows() -> None:
    told = validated(as_found())
    assert told.off_dates[november(25)] == "no games on this date"
    assert verdicts(told, "team_defense_zone_analysis")[25] is Verdict.NOT_EXPECTED
    assert told.phases[2].dates[november(25)] is Readiness.OFF


def test_phase_4_is_refused_on_every_date_with_games() -> None:
    told = validated(as_found())
    assert {date.day for date, how in told.phases[1].dates.items() if how is Readiness.READY} == set()


def test_the_plan_repairs_phase_3_of_every_date_before_the_first_step_of_phase_4(tmp_path: Path) -> None:
    checkout = make(tmp_path)
    made = plan(validated(as_found(checkout.pipeline)), checkout.pipeline)
    phases = [step.phase for step in made.steps]
    assert phases == sorted(phases)
    repaired = {step.dates[0].day for step in made.steps if step.processor == "team_offense_game_summary"}
    assert repaired == {day for day in FOUND if day != 25}
    # The players of a date wait for its team offense
    first = next(step for step in made.steps if step.processor == "player_game_summary")
    assert first.dates == [november(16)]
    assert "team_offense_game_summary" in first.waits_for
    # And of phase 4 only what is not there: the cache is compared with the context, which is complete
    missing = {(s.dates[0].day, s.processor) for s in made.steps if s.phase == "phase4"}
    assert missing == {
        (16, "player_composite_factors"),
        (29, "team_defense_zone_analysis"),
        (29, "player_composite_factors"),
        (29, "player_daily_cache"),
        (30, "team_defense_zone_analysis"),
        (30, "player_composite_factors"),
        (30, "player_daily_cache"),
    }


@pytest.mark.parametrize("day", [day for day in FOUND if day != 25])
def test_each_date_is_refused_for_a_reason_of_its_own(day: int) -> None:
    (gate,) = validated(as_found(), day, day).phases[1].dates.values()
    assert gate is Readiness.INCOMPLETE


def test_the_15th_alone_passes_once_its_duplicates_are_gone() -> None:
    facts = as_found()
    for name in ("team_offense_game_summary", "team_defense_game_summary"):
        facts.rows[name, november(15)] = 22
    told = validated(facts)
    ready = {date.day for date, how in told.phases[1].dates.items() if how is Readiness.READY}
    assert ready == {15}
    # And its phase 4 is complete as it stands
    assert told.phases[2].dates[november(15)] is Readiness.READY


def test_the_zone_analysis_is_strict_from_day_35_of_the_season() -> None:
    told = validated(as_found())
    # The 23rd of November is day 35: 29 teams on the 29th are too few
    assert verdicts(told, "team_defense_zone_analysis")[29] is Verdict.PARTIAL


def test_no_rows_are_never_enough_although_a_run_ended_well() -> None:
    # Day 27 of the season, within the ramp
    facts = as_found()
    facts.rows["team_defense_zone_analysis", november(15)] = 0
    assert verdicts(validated(facts), "team_defense_zone_analysis")[15] is Verdict.NEVER_RAN
    facts.closed = {("team_defense_zone_analysis", november(15)): run()}
    assert verdicts(validated(facts), "team_defense_zone_analysis")[15] is Verdict.NO_DATA


def test_no_rule_of_the_file_accepts_a_silent_zero() -> None:
    assert list(warnings(NBA)) == []


@pytest.mark.parametrize(
    ("name", "first_day"),
    [("team_defense_zone_analysis", 25), ("player_shot_zone_analysis", 17), ("player_composite_factors", 14)],
)
def test_a_precompute_step_expects_nothing_before_the_day_of_its_first_rows(
    name: str, first_day: int
) -> None:
    opener = dt.date(2024, 10, 22)
    days = [NBA.seasons.day(opener + dt.timedelta(days=n), {"games": 5}) for n in (first_day - 1, first_day)]
    assert [NBA.expects(NBA.processors[name], day) for day in days] == [False, True]


@pytest.mark.parametrize(("rows", "verdict"), [(54, "complete"), (95, "complete"), (41, "partial")])
def test_the_daily_cache_has_14_players_a_game_and_no_more_than_have_a_context(
    rows: int, verdict: str
) -> None:
    facts = as_found()
    facts.rows["player_daily_cache", november(16)] = rows
    assert verdicts(validated(facts), "player_daily_cache")[16].value == verdict


@pytest.mark.parametrize("rows", [16 * 11, 28 * 11, 36 * 11])
def test_player_rows_of_either_checkout_are_complete(rows: int) -> None:
    facts = as_found()
    facts.rows["player_game_summary", november(15)] = rows
    assert verdicts(validated(facts), "player_game_summary")[15] is Verdict.COMPLETE


def test_one_of_187_players_is_not_a_success() -> None:
    facts = as_found()
    facts.rows["player_composite_factors", november(17)] = 1
    told = validated(facts)
    (factors,) = [p for p in told.phases[2].processors if p.processor == "player_composite_factors"]
    assert factors.dates[november(17)].reason == "1 of at least 344 rows"
