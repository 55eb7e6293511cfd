"""The platform on BigQuery: the brief's worked examples, and November 2021 as an incident left it."""

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from backfilld.daemon.adapters import load_pipeline
from backfilld.daemon.reports.data_completeness import PhaseReport, Readiness, Validation, validation
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.rules.verdict import Verdict
from tests.factories import NOW
from tests.integration.warehouses import HISTORY, BigQueryHouse, entry
from tests.platform import ANALYTICS, OPENING, PRECOMPUTE, SOURCES, WINDOW, platform, season
from tests.platform import NOVEMBER_2021 as FOUND
from tests.platform import NOVEMBER_TABLES as TABLES

NBA = Path(__file__).parents[2] / "pipelines" / "nba.toml"
SCHEDULE = "nba_raw.nbac_schedule"
GAMEBOOK = "nbac_gamebook_player_stats"

Rows = Mapping[dt.date, int]


def fill(
    house: BigQueryHouse, table: str, by: str, rows: Rows, *, columns: str = "", times: str = "[1]"
) -> None:
    """A table with so many rows on each date, each as many times as `times` has values of `time`."""
    days = ", ".join(f"STRUCT(DATE '{day}' AS day, {count} AS n)" for day, count in rows.items())
    nothing = "STRUCT(DATE '1970-01-01' AS day, 0 AS n)"
    house.client.create_dataset(table.partition(".")[0], exists_ok=True)
    house.run(
        f"CREATE OR REPLACE TABLE {table} PARTITION BY {by} AS SELECT day AS {by}, number {columns} FROM"
        f" UNNEST([{days or nothing}]), UNNEST(GENERATE_ARRAY(1, n)) AS number, UNNEST({times}) AS time"
    )


def schedule(house: BigQueryHouse, games: Rows) -> None:
    """The schedule, with three rows a game: as it was planned, live and final."""
    columns = (
        ", CAST(number AS STRING) AS game_id, time AS game_status, TRUE AS is_regular_season,"
        " FALSE AS is_playoffs"
    )
    fill(house, SCHEDULE, "game_date", games, columns=columns, times="[1, 2, 3]")


def history(house: BigQueryHouse) -> None:
    """A run history that knows nothing of these processors."""
    house.put(HISTORY, [entry("SomebodyElse", "x", "success", trigger_source="pubsub")], by="data_date")


def phase_of(report: Validation, name: str) -> PhaseReport:
    return next(one for one in report.phases if one.phase == name)


# ------------------------------------------------------------------------------------ the worked examples

SEASONS = [season("2021-10-15", "2022-06-16"), season("2023-10-24", "2024-06-17")]
EVERY_DAY = {"bootstrap_days": 7, "season": SEASONS}
"""The calendar of the brief: every day is expected, and the season opens on 2021-10-15."""

GAME_DAYS = {
    "query": f"SELECT game_date AS date, COUNT(DISTINCT game_id) AS games FROM {SCHEDULE}"
    " WHERE game_date BETWEEN @start AND @end AND game_status = 3 GROUP BY 1",
    "bootstrap_days": 7,
    "season": [season("2021-10-19", "2022-06-16"), SEASONS[1]],
}
"""The calendar as it was: the schedule's, and the season opened on 2021-10-19."""


Report = Callable[[dict[str, Any], str, str], Validation]
"""The report by a calendar, from a date to a date."""


PRESEASON = dt.date(2021, 10, 15)


@pytest.fixture(scope="module")
def house(bigquery_endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BigQueryHouse]:
    """One row of each source on the dates of two windows, and nothing else; filling it takes seconds."""
    house = BigQueryHouse(bigquery_endpoint, tmp_path_factory.mktemp("platform"))
    for name in (*SOURCES, *ANALYTICS, *PRECOMPUTE):
        there = {**OPENING, **WINDOW} if name in SOURCES else {}
        fill(house, f"nba.{name}", "date", dict.fromkeys(there, 1))
    schedule(house, {**OPENING, **WINDOW})
    history(house)
    yield house
    house.close()


@pytest.fixture
def row_of_the_preseason(house: BigQueryHouse) -> Iterator[None]:
    """A row of one source before the season."""
    house.run(f"INSERT INTO nba.{GAMEBOOK} (date, number) VALUES (DATE '{PRESEASON}', 1)")
    yield
    house.run(f"DELETE FROM nba.{GAMEBOOK} WHERE date = DATE '{PRESEASON}'")


@pytest.fixture
def validated(house: BigQueryHouse) -> Report:
    source = {"kind": "bigquery", "project": house.project, "endpoint": house.endpoint}

    def validated(calendar: dict[str, Any], start: str, end: str) -> Validation:
        ours = platform(calendar, warehouse=source)
        first, last = dt.date.fromisoformat(start), dt.date.fromisoformat(end)
        return validation(ours, house.opened(ours), first, last, now=NOW)

    return validated


@pytest.mark.usefixtures("row_of_the_preseason")
def test_example_1_on_2021_10_15_there_is_1_source_of_5_and_by_the_schedule_nothing_is_missing(
    validated: Report,
) -> None:
    phase2, phase3, phase4 = validated(EVERY_DAY, "2021-10-15", "2021-10-15").phases
    assert [(p.symbol, p.complete, p.expected, p.status) for p in phase2.processors] == [
        ("✓", 1, 1, "complete"),
        *[("○", 0, 1, "never ran")] * 4,
    ]
    assert (phase2.complete, phase2.expected, phase2.percent) == (1, 5, 20.0)
    assert (phase3.complete, phase3.expected) == (0, 5)
    assert {(p.complete, p.expected, p.note) for p in phase4.processors} == {
        (0, 0, "1 date in the season's bootstrap")
    }
    # By the schedule it was a preseason date
    report = validated(GAME_DAYS, "2021-10-15", "2021-10-15")
    assert report.off_dates == {PRESEASON: "preseason: 2021-22 opens 2021-10-19"}
    assert (report.expected_dates, report.ready) == (0, True)
    assert {p.status for phase in report.phases for p in phase.processors} == {"nothing expected"}


def test_example_2_the_first_two_weeks_show_71_percent_of_phase_2_and_by_the_schedule_all_of_it(
    house: BigQueryHouse, validated: Report
) -> None:
    report = validated(EVERY_DAY, "2021-10-15", "2021-10-28")
    assert phase_of(report, "phase2").percent == 71.4
    assert {(p.complete, p.expected, p.bootstrap) for p in phase_of(report, "phase4").processors} == {
        (0, 7, 7)
    }
    # By the schedule, phase 2 was there from opening night
    house.queries.clear()
    report = validated(GAME_DAYS, "2021-10-15", "2021-10-28")
    assert phase_of(report, "phase2").percent == 100.0
    assert {(p.complete, p.expected, p.off) for p in phase_of(report, "phase2").processors} == {(10, 10, 4)}
    assert {(p.expected, p.bootstrap) for p in phase_of(report, "phase4").processors} == {(3, 7)}
    # And all of it took one question to each: the calendar, the history, and fourteen tables together
    assert Counter(purpose for purpose, _ in house.queries) == {"calendar": 1, "validation": 2}


def test_example_3_the_test_window_has_phase_2_and_phases_3_and_4_are_to_be_filled(
    validated: Report,
) -> None:
    for calendar in (EVERY_DAY, GAME_DAYS):
        report = validated(calendar, "2024-01-15", "2024-01-28")
        assert [(p.percent, p.ready, p.expected_dates) for p in report.phases] == [
            (100.0, True, 14),
            (0.0, False, 14),
            (0.0, False, 14),
        ]


# -------------------------------------------------------- November 2021, through the real pipeline's own SQL

QUALITY = ", 100.0 AS completeness_percentage, FALSE AS backfill_bootstrap_mode, FALSE AS early_season_flag"
TEAMS = [name for name in TABLES if "team_" in name and name.endswith("game_summary")]
FILLED = ", FALSE AS is_dnp, 30 AS minutes_played, 0.2 AS usage_rate"


def november(number: int) -> dt.date:
    return dt.date(2021, 11, number)


def identities(games: Rows) -> str:
    """Columns with as many games and teams as the schedule has on each date, if there are rows enough."""
    cases = " ".join(f"WHEN DATE '{day}' THEN {max(count, 1)}" for day, count in games.items())
    on_the_date = f"CASE day {cases} ELSE 1 END"
    return (
        f", CAST(MOD(number, {on_the_date}) AS STRING) AS game_id"
        f", CAST(MOD(number, 2 * {on_the_date}) AS STRING) AS team_abbr"
    )


def as_found(house: BigQueryHouse, folder: Path) -> Pipeline:
    """The platform's own pipeline file, on a warehouse that holds that month as it was found."""
    text = NBA.read_text().replace("nba-props-platform", house.project)
    file = folder / "nba.toml"
    file.write_text(text.replace("[warehouse]", f'[warehouse]\nendpoint = "{house.endpoint}"'))
    pipeline = load_pipeline(file)
    games = {november(day): count for day, (count, _) in FOUND.items()}
    for name in SOURCES:
        source = pipeline.processors[name]
        least = source.expect.rows_per.root["games"][0] if source.expect.rows_per else 1
        rows = {day: least * n for day, n in games.items()}
        fill(house, source.table, source.date_column, rows, columns=identities(games))
    fill_targets(house, pipeline, TABLES, team_rows_on_the_15th=88)
    schedule(house, games)
    history(house)
    return pipeline


def fill_targets(
    house: BigQueryHouse, pipeline: Pipeline, names: Iterable[str], *, team_rows_on_the_15th: int
) -> None:
    """The tables of these processors as that month left them, but for the teams of one date."""
    columns = QUALITY + FILLED + identities({november(day): count for day, (count, _) in FOUND.items()})
    for name in names:
        target, number = pipeline.processors[name], list(TABLES).index(name)
        rows = {november(day): counts[number] for day, (_, counts) in FOUND.items()}
        if name in TEAMS:
            rows[november(15)] = team_rows_on_the_15th
        fill(house, target.table, target.date_column, rows, columns=columns)


def november_report(house: BigQueryHouse, pipeline: Pipeline) -> Validation:
    return validation(pipeline, house.opened(pipeline), november(15), november(30), now=NOW)


def test_in_november_2021_phase_4_is_refused_until_a_date_has_all_five_tables(
    bigquery_house: BigQueryHouse, tmp_path: Path
) -> None:
    pipeline = as_found(bigquery_house, tmp_path)
    report = november_report(bigquery_house, pipeline)
    phase2, phase3, phase4 = report.phases

    # The sources are there; the gate before phase 4 is closed on every date with games
    assert phase2.ready
    playing = {november(day) for day, (games, _) in FOUND.items() if games}
    assert {date for date, how in phase3.dates.items() if how is Readiness.INCOMPLETE} == playing
    assert phase4.ready_dates < phase4.expected_dates

    # Thanksgiving is not expected, although two tables have rows on it
    assert report.off_dates[november(25)] == "no games on this date"

    # And 88 team rows for 11 games are an excess
    offense = next(p for p in phase3.processors if p.processor == "team_offense_game_summary")
    cell = offense.dates[november(15)]
    assert (cell.verdict, cell.reason) == (Verdict.EXCESS, "88 rows, at most 22 for 11 games")

    # All that took three queries
    assert [purpose for purpose, _ in bigquery_house.queries] == ["calendar", "validation", "validation"]

    # Given the 15th without its duplicates: the one date whose five tables had anything in them
    fill_targets(bigquery_house, pipeline, TEAMS, team_rows_on_the_15th=22)
    report = november_report(bigquery_house, pipeline)
    assert {date.day for date, how in report.phases[1].dates.items() if how is Readiness.READY} == {15}
    assert report.phases[2].dates[november(15)] is Readiness.READY
