"""The platform's own pipeline file on the command line: its checkout, its tables behind the real client."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from backfilld.daemon.adapters import load_pipeline
from backfilld.daemon.warehouses.adapter import TableInfo
from tests.checkout import Checkout, Tables, make
from tests.integration.command_line import CommandLine
from tests.integration.warehouses import BigQueryHouse

DAY, NEXT = "2021-11-15", "2021-11-16"
GAMES = {DAY: 11, NEXT: 3}
OFFENSE, CONTEXT = "team_offense_game_summary", "upcoming_player_game_context"
TYPES = {
    "completeness_percentage": "FLOAT64",
    "usage_rate": "FLOAT64",
    "backfill_bootstrap_mode": "BOOL",
    "early_season_flag": "BOOL",
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


@pytest.fixture
def platform(bigquery_house: BigQueryHouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    """A good checkout, and all tables of the file: a schedule of two dates, and nothing else in them."""
    checkout = make(tmp_path)
    text = checkout.path.read_text()
    ours = f'project = "{bigquery_house.project}"\nendpoint = "{bigquery_house.endpoint}"'
    text = text.replace('project = "nba-props-platform"', ours)
    # The emulator's datasets all lie in US.
    checkout.path.write_text(text.replace('location = "us-west2"', 'location = "US"'))
    monkeypatch.setenv("BACKFILLD_PIPELINE", str(checkout.path))
    known = Tables(load_pipeline(checkout.path)).known
    for dataset in sorted({table.split(".")[0] for table in known} - {"nba_reference"}):
        bigquery_house.client.create_dataset(dataset)
    for table, info in known.items():
        assert isinstance(info, TableInfo)
        by = info.partition_column
        columns = {column: TYPES.get(column, "STRING") for column in sorted(info.columns)}
        printed = ", ".join(
            f"{column} {'DATE' if column == by else kind}" for column, kind in columns.items()
        )
        bigquery_house.run(f"CREATE TABLE {table} ({printed}) PARTITION BY {by}")
    games = " UNION ALL ".join(SCHEDULE.format(date=date, games=count) for date, count in GAMES.items())
    bigquery_house.run(f"CREATE TABLE nba_raw.nbac_schedule PARTITION BY game_date AS {games}")
    return checkout


def fill(house: BigQueryHouse, table: str, rows: int, columns: str = "game_id", values: str = "'g'") -> None:
    """So many rows of DAY."""
    house.run(
        f"INSERT INTO {table} (game_date, {columns}) "
        f"SELECT DATE '{DAY}', {values} FROM UNNEST(GENERATE_ARRAY(1, {rows})) AS n"
    )


def test_validate_and_plan_tell_the_platform_s_own_tables_and_commands(
    command: CommandLine, platform: Checkout, bigquery_house: BigQueryHouse
) -> None:
    # Given a source that is there on one date of two, and a table written four times over
    fill(bigquery_house, "nba_raw.nbac_team_boxscore", 22)
    fill(bigquery_house, f"nba_analytics.{OFFENSE}", 88)
    # When
    printed = command("validate", DAY, NEXT, "--plan")
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
    call = f"PYTHONPATH=. PYTHONUNBUFFERED=1 .venv/bin/python {script} --start-date {NEXT} --end-date {NEXT}"
    assert line == f"(cd {platform.root} && {call})"
    assert printed.rows("# ", f"{OFFENSE} {DAY}: excess: 88 rows, at most 22 for 11 games [13 s, estimate]")
    assert printed.rows("# warehouse: ", "USD")
    assert printed.rows("2 of 2 expected dates finish")


def test_preflight_looks_at_checkout_and_tables_and_tries_a_job_of_each_phase(
    command: CommandLine, platform: Checkout, tmp_path: Path
) -> None:
    # Given one script that lost its options, and one that never had the one it must set
    platform.spoil(CONTEXT, ', "skip_downstream_trigger": True', "")
    printed = command("preflight", DAY, NEXT, "--state-dir", tmp_path / "state")
    # Then only these are critical
    assert printed.code == 1
    assert printed.rows("✗") == [
        f"✗ required settings {CONTEXT}: skip_downstream_trigger is not set to True"
    ], printed.out
    assert printed.rows(f"in {platform.script(CONTEXT)}:")
    assert printed.rows("✓ tables 15 of 15 tables are there")
    assert printed.rows("nbac_gamebook_player_stats --dry-run ended well")
    # And once it is mended only the data so far is a warning
    platform.spoil(CONTEXT, '"backfill_mode": True', '"skip_downstream_trigger": True')
    again = command("preflight", DAY, NEXT, "--quick", "--state-dir", tmp_path / "state")
    assert (again.code, again.rows("⚠")) == (2, ["⚠ data so far phase2: 0 of 2 dates ready, 0.0 % complete"])


def test_quality_counts_rows_below_the_platform_s_standard(
    command: CommandLine, platform: Checkout, bigquery_house: BigQueryHouse
) -> None:
    share = "IF(n <= 300, 40.0, 99.0)"
    columns = "game_id, completeness_percentage, backfill_bootstrap_mode"
    values = f"CAST(MOD(n, {GAMES[DAY]}) AS STRING), {share}, FALSE"
    fill(bigquery_house, f"nba_analytics.{CONTEXT}", 389, columns, values)
    printed = json.loads(command("quality", DAY, NEXT, "--json").out)
    (context,) = [one for one in printed["processors"] if one["processor"] == CONTEXT]
    assert (context["rows"], context["below"]) == (389, 300)
    assert list(context["dates"]) == [DAY]
    assert not printed["good"]
