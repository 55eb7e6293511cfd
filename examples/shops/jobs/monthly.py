"""The net sales of each shop in a month, with its manager, on the month's last date: monthly.py START END."""

import sys

from partition_writer import write

start, end = sys.argv[1:]
write(
    f"""
    SELECT DATE '{end}' AS date, m.manager, shop_id, sum(n.amount) AS amount
    FROM read_parquet('lake/reports/net_sales/*/*.parquet', hive_partitioning = true) AS n
    JOIN read_csv('source/managers.csv') AS m USING (shop_id)
    WHERE n.date BETWEEN DATE '{start}' AND DATE '{end}' AND m.month = DATE '{end}' GROUP BY ALL
    """,
    "reports.monthly",
)
