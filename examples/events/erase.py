"""Erase a user from the events of some dates, beside the daemon's jobs: erase.py USER START END."""

import sys
from pathlib import Path

import duckdb

user, start, end = sys.argv[1:]
for path in sorted(Path("lake/raw/events").glob("date=*/part-0.parquet")):
    if start <= path.parent.name.removeprefix("date=") <= end:
        kept = duckdb.read_parquet(str(path)).filter(f"user_id <> {int(user)}")
        kept.write_parquet(str(path.with_suffix(".new")))
        path.with_suffix(".new").rename(path)
