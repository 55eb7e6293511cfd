"""The net sales of the seven days before a Monday, beside their target: weekly.py DATES, with commas."""

import sys

from partition_writer import write

dates = ", ".join(f"DATE '{date}'" for date in sys.argv[1].split(","))
write(
    f"""
    SELECT t.date, t.target, sum(n.amount) AS amount
    FROM read_csv('source/targets.csv') AS t
    JOIN read_parquet('lake/reports/net_sales/*/*.parquet', hive_partitioning = true) AS n
    ON n.date BETWEEN t.date - 7 AND t.date - 1
    WHERE t.date IN ({dates}) GROUP BY ALL
    """,
    "reports.weekly",
)
