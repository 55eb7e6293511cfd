"""The balance on a closing day: the one before, the net sales since and a correction: balance.py DATE."""

import sys
from pathlib import Path

import duckdb
from partition_writer import write

date = sys.argv[1]
earlier = sorted(path.name.removeprefix("date=") for path in Path("lake/ledger/balance").glob("date=*"))
opening, since = "0", "1900-01-01"
if before := [day for day in earlier if day < date]:
    since = before[-1]
    path = f"lake/ledger/balance/date={since}/part-0.parquet"
    opening = str(duckdb.sql(f"SELECT amount FROM '{path}'").fetchall()[0][0])
write(
    f"""
    SELECT DATE '{date}' AS date, {opening} + sum(amount) + (
        SELECT CAST(amount AS INTEGER) FROM read_csv('source/corrections.csv') WHERE date = DATE '{date}'
    ) AS amount
    FROM read_parquet('lake/reports/net_sales/*/*.parquet', hive_partitioning = true)
    WHERE date > DATE '{since}' AND date <= DATE '{date}'
    """,
    "ledger.balance",
)
