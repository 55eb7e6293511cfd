"""How the jobs write: each date is a partition, which is renamed into place once it is whole."""

import os
import shutil
from pathlib import Path

import duckdb

duckdb.execute("SET threads = 1")  # one file for each date


def write(query: str, table: str) -> None:
    """Replace the partitions of the dates that the query gives; those of other dates stay as they are."""
    staging = Path("staging", f"{table}-{os.getpid()}")
    staging.parent.mkdir(exist_ok=True)
    duckdb.execute(f"COPY ({query}) TO '{staging}' (FORMAT parquet, PARTITION_BY (date))")
    for file in staging.glob("date=*/*.parquet"):
        partition = Path("lake", *table.split("."), file.parent.name)
        partition.mkdir(parents=True, exist_ok=True)
        file.rename(partition / "part-0.parquet")
    shutil.rmtree(staging)
