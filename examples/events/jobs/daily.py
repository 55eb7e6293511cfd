"""Orders of each date: daily.py START END."""

import sys

from partition_writer import write

start, end = sys.argv[1:]
write(
    f"""
    SELECT date, count(DISTINCT user_id) AS users, count(*) FILTER (kind = 'order') AS orders
    FROM read_parquet('lake/raw/events/*/*.parquet', hive_partitioning = true)
    WHERE date BETWEEN DATE '{start}' AND DATE '{end}' GROUP BY ALL
    """,
    "derived.daily",
)
