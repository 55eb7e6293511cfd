"""How much damage rules would not see, and rules that are proposed from complete dates."""

import datetime as dt
import math
import random
import tomllib
from typing import Any

import pytest

from backfilld.daemon.reports.blindness_to_simulated_damage import BlindnessReport, DamageCount, blindness
from backfilld.daemon.reports.expectation_suggestions import Suggestion, suggest
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.rules.evidence import Evidence
from backfilld.state.rules.expectations.aggregate_types import GroupCounts
from backfilld.state.rules.simulated_data_damage import DAMAGES, damaged
from tests.factories import NOW, day, expectation, phase, pipeline, processor, seen
from tests.fake_warehouse import FakeWarehouse

FIRST = dt.date(2021, 10, 19)


def one_table(**expect: Any) -> Pipeline:
    return pipeline(phase("raw", processor("box", expect=expect)), history=None)


def season(ours: Pipeline, rows: dict[dt.date, int], games: dict[dt.date, int]) -> FakeWarehouse:
    return FakeWarehouse(
        pipeline=ours, calendar=games, rows={("box", date): count for date, count in rows.items()}
    )


def steady(ours: Pipeline, days: int = 60, per_game: int = 20) -> FakeWarehouse:
    """Ten games a day, with so many rows each, give or take one."""
    dates = [FIRST + dt.timedelta(days=number) for number in range(days)]
    rows = {date: 10 * per_game + number % 3 for number, date in enumerate(dates)}
    return season(ours, rows, dict.fromkeys(dates, 10))


def report(facts: FakeWarehouse) -> BlindnessReport:
    return blindness(facts.pipeline, facts, min(facts.calendar), max(facts.calendar), now=NOW)


def passing(facts: FakeWarehouse) -> dict[str, float]:
    (found,) = report(facts).processors
    return {one.damage: one.passed / one.dates for one in found.damages}


def suggested(facts: FakeWarehouse) -> Suggestion:
    last = max(facts.calendar)
    (found,) = suggest(facts.pipeline, facts, min(facts.calendar), last, now=NOW).processors
    return found


# ------------------------------------------------------------------------------------------------ damages


def figures(evidence: Evidence, **expect: Any) -> dict[str, Evidence]:
    return dict(damaged(evidence, day(games=10), expectation(**expect)))


def test_every_damage_of_the_catalogue_can_befall_a_date() -> None:
    found = figures(
        seen(rows=200, distinct={"game_id": 10}), distinct=[{"column": "game_id", "per": "games"}]
    )
    assert set(found) == set(DAMAGES)


def test_a_lost_unit_takes_its_rows_and_its_values() -> None:
    found = figures(
        seen(
            rows=200,
            distinct={"game_id": 10, "team": 20},
            distinct_keys=200,
            passing_rows=190,
            groups=GroupCounts(groups=10, too_small=0, too_large=0, smallest=20, largest=20),
        )
    )["unit_lost"]
    assert (found.rows, found.distinct, found.distinct_keys) == (180, {"game_id": 9, "team": 18}, 180)
    assert (found.passing_rows, found.groups and found.groups.groups) == (171, 9)


def test_a_loss_from_all_groups_leaves_their_number_and_shrinks_each() -> None:
    groups = GroupCounts(groups=10, too_small=0, too_large=0, smallest=20, largest=20)
    rule = {"rows_each": {"group_by": ["game_id"], "rows": [19, 21]}}
    found = figures(seen(rows=200, distinct={"game_id": 10}, groups=groups), **rule)
    assert (found["rows_lost_10"].rows, found["rows_lost_10"].distinct) == (180, {"game_id": 10})
    assert found["rows_lost_10"].groups == GroupCounts(
        groups=10, too_small=10, too_large=0, smallest=18, largest=18
    )
    assert found["rows_lost_5"].groups is not None
    assert found["rows_lost_5"].groups.too_small == 0


def test_small_tables_lose_one_row_at_least_and_never_all() -> None:
    found = dict(damaged(seen(rows=1), day(games=1), expectation()))
    assert set(found) == {"rows_doubled", "column_emptied"}
    assert dict(damaged(seen(rows=3), day(games=1), expectation()))["rows_lost_5"].rows == 2


# ---------------------------------------------------------------------------------------------- blindness


def test_one_row_is_enough_is_blind_to_all_but_an_empty_table() -> None:
    facts = steady(one_table())
    assert set(passing(facts).values()) == {1.0}
    (found,) = report(facts).processors
    assert (found.blind_ratio, found.smallest_loss_seen, found.dates) == (1.0, None, 60)


def test_bounds_see_what_lies_outside_of_them() -> None:
    found = passing(steady(one_table(rows_per={"games": [17, 23]})))
    assert (found["rows_lost_10"], found["rows_lost_20"], found["rows_doubled"]) == (1.0, 0.0, 0.0)
    assert (found["unit_lost"], found["key_doubled"], found["column_emptied"]) == (1.0, 1.0, 1.0)


def test_each_rule_sees_the_damage_that_it_is_for() -> None:
    assert passing(steady(one_table(unique={"columns": ["id"]})))["key_doubled"] == 0.0
    assert passing(steady(one_table(filled={"columns": ["id"]})))["column_emptied"] == 0.0
    distinct = [{"column": "game_id", "per": "games", "count": [1, 1]}]
    assert passing(steady(one_table(distinct=distinct)))["unit_lost"] == 0.0
    volume = {"min": 0.95, "max": 1.05, "per": "games"}
    assert passing(steady(one_table(volume=volume)))["rows_lost_10"] == pytest.approx(7 / 60)


def test_the_smallest_loss_that_is_seen_is_told() -> None:
    (found,) = report(steady(one_table(rows_per={"games": [17, 23]}))).processors
    assert found.smallest_loss_seen == 20
    assert DamageCount(damage="rows_lost_20", dates=60, passed=0) in found.damages


def test_dates_that_are_not_complete_are_not_damaged() -> None:
    facts = steady(one_table(rows_per={"games": [17, 23]}))
    facts.rows["box", FIRST] = 3
    assert report(facts).processors[0].dates == 59


def test_a_platform_without_complete_dates_says_so() -> None:
    ours = one_table()
    found = report(season(ours, {}, {FIRST: 5}))
    assert (found.processors[0].blind_ratio, found.summary) == (None, "there are no complete dates to damage")


# ---------------------------------------------------------------------------------------------- suggestions


def shapes() -> dict[str, tuple[dict[dt.date, int], dict[dt.date, int]]]:
    """Rows and counts of made-up seasons, eight months each."""
    rng = random.Random(7)
    dates = [FIRST + dt.timedelta(days=number) for number in range(240)]
    games = {date: rng.randint(2, 14) for date in dates}
    shops = dict.fromkeys(dates, 40)
    weekdays = {date: 5 if date.weekday() < 5 else 0 for date in dates}
    open_days = {date: n for date, n in weekdays.items() if n}
    return {
        "per game": ({date: n * 20 + rng.randint(-n, n) for date, n in games.items()}, games),
        "growing": ({date: 200 + 2 * number for number, date in enumerate(dates)}, shops),
        "weekdays": ({date: 500 + rng.randint(-15, 15) for date in open_days}, weekdays),
        "noisy": ({date: round(n * 20 * math.exp(rng.gauss(0, 0.1))) for date, n in games.items()}, games),
    }


@pytest.mark.parametrize("shape", ["per game", "growing", "weekdays", "noisy"])
def test_proposed_rules_see_more_with_hardly_a_false_alarm(shape: str) -> None:
    # Given a hand-written rule with wide bounds
    rows, counts = shapes()[shape]
    facts = season(one_table(rows=[10, 5000]), rows, counts)

    # When
    found = suggested(facts)

    # Then
    assert found.rules
    assert found.false_alarms is not None
    assert found.false_alarms <= 0.01
    assert found.blind_ratio is not None
    assert found.suggested_blind_ratio is not None
    assert found.suggested_blind_ratio < 0.7 * found.blind_ratio
    assert 40 <= found.held_back_dates <= found.dates / 2


def test_proposed_rules_are_lines_that_the_pipeline_file_takes() -> None:
    found = suggested(steady(one_table(rows=[1]), days=90))
    stated = tomllib.loads("\n".join(found.rules))["expect"]
    assert stated["rows_per"] == {"games": [20, 21]}
    facts = steady(one_table(**stated), days=90)
    (after,) = report(facts).processors
    assert after.dates == 90
    assert after.blind_ratio == pytest.approx(found.suggested_blind_ratio, abs=0.1)


def test_a_short_history_is_said_and_nothing_is_proposed() -> None:
    found = suggested(steady(one_table(), days=20))
    assert (found.rules, found.false_alarms) == ([], None)
    assert found.note == "history is too short: 20 complete dates, at least 40 in two months"


def test_a_rule_that_held_back_months_break_is_not_proposed() -> None:
    # Given a table that doubles in its last months
    rows, counts = shapes()["weekdays"]
    half = sorted(rows)[len(rows) * 3 // 4]
    changed = {date: 2 * n if date > half else n for date, n in rows.items()}
    found = suggested(season(one_table(rows=[10, 5000]), changed, counts))
    assert not any(line.startswith("expect.rows_per") for line in found.rules)


def test_no_rule_is_proposed_that_accepts_a_run_without_rows() -> None:
    # Given dates that may have fewer rows than shops
    _, shops = shapes()["growing"]
    rows = {date: 7 + 90 * (number % 9) for number, date in enumerate(shops)}
    found = suggested(season(one_table(), rows, shops))
    assert not any(line.startswith("expect.rows_per") for line in found.rules)


def test_what_was_not_complete_is_never_learned_from() -> None:
    # Given every fifth date half empty, by a rule that sees it
    facts = steady(one_table(rows_per={"games": [15, 23]}), days=90)
    for number in range(0, 90, 5):
        facts.rows["box", FIRST + dt.timedelta(days=number)] = 100
    found = suggested(facts)
    assert found.dates == 72
    assert "expect.rows_per = { games = [20, 21] }" in found.rules
