"""The time zone of the process that asks, by `TZ`, changes no answer: a laptop and a server agree."""

import json
import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from tests.timeouts import PATIENCE

INSTANT = "TIMESTAMPTZ '2024-03-01 03:00:00+00'"
"""The day before, in Los Angeles."""
CONDITIONS = {
    "duckdb": [
        "extract(hour FROM made_at) = 3",
        "made_at = TIMESTAMPTZ '2024-03-01 03:00:00'",
        "made_at::DATE = DATE '2024-03-01'",
    ],
    "bigquery": [
        "EXTRACT(HOUR FROM made_at) = 3",
        "made_at = TIMESTAMP '2024-03-01 03:00:00'",
        "DATE(made_at) = DATE '2024-03-01'",
    ],
}


def lake(folder: Path) -> str:
    (folder / "lake/nba/box").mkdir(parents=True)
    target = folder / "lake/nba/box/a.parquet"
    duckdb.execute(f"COPY (SELECT {INSTANT} AS made_at) TO '{target}' (FORMAT parquet)")
    return 'kind = "lake", path = "lake"'


def file(folder: Path) -> str:
    with duckdb.connect(str(folder / "platform.duckdb")) as connection:
        connection.execute(f"CREATE SCHEMA nba; CREATE TABLE nba.box AS SELECT {INSTANT} AS made_at")
    return 'kind = "duckdb", file = "platform.duckdb"'


def verdicts(folder: Path, zone: str) -> list[str]:
    """What `validate` prints for the date, in a process of that zone."""
    command = [sys.executable, "-m", "backfilld", "validate", "2024-03-01", "--dates", "--json"]
    result = subprocess.run(
        [*command, "--pipeline", str(folder / "p.toml")],
        env={**os.environ, "TZ": zone},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    (raw,) = json.loads(result.stdout)["phases"]
    answers = {one["processor"]: one["dates"]["2024-03-01"] for one in raw["processors"]}
    return [f"{name}: {one['verdict']} {one['reason']}".strip() for name, one in answers.items()]


@pytest.mark.parametrize("zone", ["America/Los_Angeles", "Asia/Tokyo"])
@pytest.mark.parametrize(
    ("create", "dialect"),
    [(lake, "duckdb"), (lake, "bigquery"), (file, "duckdb")],
    ids=["lake", "sql", "file"],
)
def test_days_and_conditions_are_the_same_in_every_zone(tmp_path, create, dialect, zone):
    warehouse = create(tmp_path) + (f', dialect = "{dialect}"' if create is lake else "")
    lines = ['name = "p"', f"warehouse = {{ {warehouse} }}", "[[phase]]", 'name = "raw"']
    for number, condition in enumerate(CONDITIONS[dialect]):
        keys = f'name = "p{number}"\ntable = "nba.box"\ncommand = ["true"]\ndate_column = "made_at"'
        rule = f'date_timezone = "UTC"\nexpect.quality.where = "{condition}"'
        lines.append(f"[[phase.processor]]\n{keys}\n{rule}")
    (tmp_path / "p.toml").write_text("\n".join(lines))
    assert verdicts(tmp_path, zone) == [f"p{number}: complete" for number in range(len(lines) - 4)]
