"""The time zone of the process that asks changes no answer: a lake and a DuckDB file are read in UTC."""

import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

DAY = "2024-03-01"
PIPELINE = """
name = "zones"
warehouse = {warehouse}

[[phase]]
name = "raw"

[[phase.processor]]
name = "condition"
table = "raw.visits"
date_column = "made_at"
date_timezone = "UTC"
command = ["true"]
expect.quality = {{ where = "EXTRACT(HOUR FROM made_at) = 7 AND made_at >= TIMESTAMP '2024-03-01 07:59:00'" }}

[[phase.processor]]
name = "day"
table = "raw.visits"
date_column = "made_at"
date_timezone = "Europe/Berlin"
command = ["true"]
expect.rows = [1, 1]
"""
ROWS = "SELECT TIMESTAMPTZ '2024-03-01 07:59:00+00' AS made_at"


def lake(folder: Path) -> str:
    """A lake with one instant in a file without a date in its name."""
    (folder / "lake" / "raw" / "visits").mkdir(parents=True)
    with duckdb.connect() as connection:
        connection.execute(f"COPY ({ROWS}) TO '{folder / 'lake/raw/visits/all.parquet'}' (FORMAT parquet)")
    return '{ kind = "lake", path = "lake" }'


def duckdb_file(folder: Path) -> str:
    """A DuckDB file with the same."""
    with duckdb.connect(str(folder / "all.duckdb")) as connection:
        connection.execute(f"CREATE SCHEMA raw; CREATE TABLE raw.visits AS {ROWS}")
    return '{ kind = "duckdb", file = "all.duckdb" }'


@pytest.mark.parametrize("zone", ["UTC", "America/Los_Angeles", "Pacific/Kiritimati"])
@pytest.mark.parametrize("made", [lake, duckdb_file])
def test_an_instant_is_of_the_same_hour_and_day_wherever_it_is_asked_about(tmp_path, made, zone):
    pipeline = tmp_path / "zones.toml"
    pipeline.write_text(PIPELINE.format(warehouse=made(tmp_path)))
    words = [sys.executable, "-m", "backfilld", "validate", DAY, "--pipeline", str(pipeline)]
    done = subprocess.run(words, env={**os.environ, "TZ": zone}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ready in every phase" in done.stdout
