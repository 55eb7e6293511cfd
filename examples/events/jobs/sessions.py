"""Events of a user over three days, as one session for each last day: sessions.py START END."""

import sys

from partition_writer import write

start, end = sys.argv[1:]
write(
    f"""
    SELECT day AS date, user_id, count(*) AS events, min(date) AS since
    FROM (SELECT unnest(generate_series(DATE '{start}', DATE '{end}', INTERVAL 1 DAY))::DATE AS day)
    JOIN read_parquet('lake/raw/events/*/*.parquet', hive_partitioning = true) ON date BETWEEN day - 2 AND day
    GROUP BY ALL
    """,
    "derived.sessions",
)
