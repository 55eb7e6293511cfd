"""Sales less returns of each shop: net_sales.py START END."""

import sys

from partition_writer import write

start, end = sys.argv[1:]
write(
    f"""
    SELECT s.date, s.shop_id, s.amount - coalesce(r.amount, 0) AS amount
    FROM read_parquet('lake/raw/sales/*/*.parquet', hive_partitioning = true) AS s
    LEFT JOIN (
        SELECT date, shop_id, sum(amount) AS amount
        FROM read_parquet('lake/raw/returns/*/*.parquet', hive_partitioning = true) GROUP BY ALL
    ) AS r USING (date, shop_id)
    WHERE date BETWEEN DATE '{start}' AND DATE '{end}'
    """,
    "reports.net_sales",
)
