"""The platform's own pipeline file on the command line: its checkout, its tables behind the real client."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlglot
from sqlglot import exp

from backfilld.daemon.adapters import load_pipeline
from backfilld.daemon.warehouses.adapter import TableInfo
from backfilld.state.pipeline.pipeline import Pipeline
from tests.checkout import Checkout, Tables, make
from tests.integration.command_line import CommandLine
from tests.integration.warehouses import BigQueryHouse

VALIDATED, CHECKED, COUNTED = ((f"{year}-11-15", f"{year}-11-16") for year in (2021, 2022, 2023))
"""Two dates for each test, in a season of its own, so that one set of tables is enough for them all."""
GAMES = {
    date: games for pair in (VALIDATED, CHECKED, COUNTED) for date, games in zip(pair, (11, 3), strict=True)
}
OFFENSE, CONTEXT = "team_offense_game_summary", "upcoming_player_game_context"
TYPES = {
    "completeness_percentage": "FLOAT64",
    "usage_rate": "FLOAT64",
    "backfill_bootstrap_mode": "BOOL",
    "early_season_flag": "BOOL",
    "is_dnp": "BOOL",
    "minutes_played": "FLOAT64",
    "started_at": "TIMESTAMP",
    "processed_at": "TIMESTAMP",
}
SCHEDULE = """
SELECT DATE '{date}' AS game_date, CAST(n AS STRING) AS game_id, 3 AS game_status,
       TRUE AS is_regular_season, FALSE AS is_playoffs
FROM UNNEST(GENERATE_ARRAY(1, {games})) AS n
"""


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    monkeypatch.delenv("BACKFILLD_STATE_DIR", raising=False)
    return CommandLine(monkeypatch, capsys)


@pytest.fixture(scope="module")
def house(bigquery_endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BigQueryHouse]:
    house = BigQueryHouse(bigquery_endpoint, tmp_path_factory.mktemp("house"))
    yield house
    house.close()


@pytest.fixture(scope="module")
def made(house: BigQueryHouse, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A good checkout, and all tables of the file: a schedule of some dates, and nothing else in them."""
    checkout = make(tmp_path_factory.mktemp("checkout"))
    text = checkout.path.read_text()
    ours = f'project = "{house.project}"\nendpoint = "{house.endpoint}"'
    text = text.replace('project = "nba-props-platform"', ours)
    # The emulator's datasets all lie in US.
    checkout.path.write_text(text.replace('location = "us-west2"', 'location = "US"'))
    nba = load_pipeline(checkout.path)
    known = Tables(nba).known
    for dataset in sorted({table.split(".")[0] for table in known} - {"nba_reference"}):
        house.client.create_dataset(dataset)
    for table, info in known.items():
        assert isinstance(info, TableInfo)
        by = info.partition_column
        named = info.columns | predicate_columns(nba, table)
        columns = {column: TYPES.get(column, "STRING") for column in sorted(named)}
        printed = ", ".join(
            f"{column} {'DATE' if column == by else kind}" for column, kind in columns.items()
        )
        house.run(f"CREATE TABLE {table} ({printed}) PARTITION BY {by}")
    games = " UNION ALL ".join(SCHEDULE.format(date=date, games=count) for date, count in GAMES.items())
    house.run(f"CREATE TABLE nba_raw.nbac_schedule PARTITION BY game_date AS {games}")
    return checkout


def predicate_columns(pipeline: Pipeline, table: str) -> set[str]:
    """The columns that the quality predicates of a table name."""
    predicates = [
        p.expect.quality.where for p in pipeline.processors.values() if p.table == table and p.expect.quality
    ]
    return {
        column.name
        for predicate in predicates
        for column in sqlglot.parse_one(predicate, dialect="bigquery").find_all(exp.Column)
    }


@pytest.fixture
def platform(made: Checkout, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    """That checkout as what the commands work on."""
    monkeypatch.setenv("BACKFILLD_PIPELINE", str(made.path))
    return made


def fill(
    house: BigQueryHouse, table: str, date: str, rows: int, columns: str = "game_id", values: str = "'g'"
) -> None:
    """Write so many rows of a date."""
    house.run(
        f"INSERT INTO {table} (game_date, {columns}) "
        f"SELECT DATE '{date}', {values} FROM UNNEST(GENERATE_ARRAY(1, {rows})) AS n"
    )


def test_validate_and_plan_tell_the_platform_s_own_tables_and_commands(
    command: CommandLine, platform: Checkout, house: BigQueryHouse
) -> None:
    # Given a source that is there on one date of two, and a table written four times over
    day, after = VALIDATED
    fill(house, "nba_raw.nbac_team_boxscore", day, 22)
    fill(house, f"nba_analytics.{OFFENSE}", day, 88)
    # When
    printed = command("validate", *VALIDATED, "--plan")
    # Then
    assert printed.code == 1, printed.err
    assert printed.rows("⚠ nbac_team_boxscore") == [
        "⚠ nbac_team_boxscore 1/2 (50.0%) [CRITICAL] (1 NEVER RAN)"
    ]
    assert printed.rows(f"⚠ {OFFENSE}") == [
        f"⚠ {OFFENSE} 0/2 (0.0%) [CRITICAL] (1 excess: 88 rows, at most 22 for 11 games; 1 NEVER RAN)"
    ]
    # And the commands are the platform's own, each with the options that its script takes
    script = "backfill_jobs/raw/nbac_team_boxscore/nbac_team_boxscore_backfill_job.py"
    (line,) = printed.rows("(cd ", script)
    call = (
        f"PYTHONPATH=. PYTHONUNBUFFERED=1 .venv/bin/python {script} --start-date {after} --end-date {after}"
    )
    assert line == f"(cd {platform.root} && {call})"
    assert printed.rows("# ", f"{OFFENSE} {day}: excess: 88 rows, at most 22 for 11 games [13 s, estimate]")
    assert printed.rows("# warehouse: ", "USD")
    assert printed.rows("2 of 2 expected dates finish")


def test_preflight_looks_at_checkout_and_tables_and_tries_a_job_of_each_phase(
    command: CommandLine, platform: Checkout, tmp_path: Path
) -> None:
    # Given one script that lost its options, and one that never had the one it must set
    platform.spoil(CONTEXT, ', "skip_downstream_trigger": True', "")
    printed = command("preflight", *CHECKED, "--state-dir", tmp_path / "state")
    # Then only these are critical
    assert printed.code == 1
    assert printed.rows("✗") == [
        f"✗ required settings {CONTEXT}: skip_downstream_trigger is not set to True"
    ], printed.out
    assert printed.rows(f"in {platform.script(CONTEXT)}:")
    assert printed.rows("✓ tables 15 of 15 tables are there")
    assert printed.rows("nbac_gamebook_player_stats --dry-run exited with 0")
    # And once it is mended only the data so far is a warning
    platform.spoil(CONTEXT, '"backfill_mode": True', '"skip_downstream_trigger": True')
    again = command("preflight", *CHECKED, "--quick", "--state-dir", tmp_path / "state")
    assert (again.code, again.rows("⚠")) == (2, ["⚠ data so far phase2: 0 of 2 dates ready, 0.0 % complete"])


def test_quality_counts_rows_below_the_platform_s_standard(
    command: CommandLine, platform: Checkout, house: BigQueryHouse
) -> None:
    share = "IF(n <= 300, 40.0, 99.0)"
    day, _ = COUNTED
    columns = "game_id, completeness_percentage, backfill_bootstrap_mode"
    values = f"CAST(MOD(n, {GAMES[day]}) AS STRING), {share}, FALSE"
    fill(house, f"nba_analytics.{CONTEXT}", day, 389, columns, values)
    printed = json.loads(command("quality", *COUNTED, "--json").out)
    (context,) = [one for one in printed["processors"] if one["processor"] == CONTEXT]
    assert (context["rows"], context["below"]) == (389, 300)
    assert list(context["dates"]) == [day]
    assert not printed["good"]
