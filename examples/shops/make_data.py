"""Write the sources of the platform and its two reference tables: make_data.py [repaired].

Without `repaired`, the sources have the faults that README.md lists.
"""

import csv
import datetime as dt
import sys
from pathlib import Path

import duckdb

FIRST, LAST = dt.date(2024, 1, 1), dt.date(2024, 3, 31)
DATES = [FIRST + dt.timedelta(days=n) for n in range((LAST - FIRST).days + 1)]
FAULTY = "repaired" not in sys.argv
SHOPS = range(1, 13)  # shop 13 opens in April


def is_open(shop: int, date: dt.date) -> bool:
    """Shop 5 is closed on Sundays, shop 13 until April."""
    return shop in SHOPS and not (shop == 5 and date.weekday() == 6)


def sales(date: dt.date) -> list[list[object]]:
    """A row for each open shop: date, shop, orders, amount in euros."""
    rows = []
    for shop in SHOPS:
        if is_open(shop, date):
            orders = 40 + 7 * shop + (date.toordinal() * shop) % 11
            rows.append([date, shop, orders, orders * 20])
    if FAULTY and date == dt.date(2024, 1, 17):  # shop 7 sends its file with the number of shop 13
        rows[6][1] = 13
    if FAULTY and date == dt.date(2024, 2, 8):  # the tills export cents
        rows = [[day, shop, orders, 100 * amount] for day, shop, orders, amount in rows]
    return rows


def stock(date: dt.date) -> list[list[object]]:
    """A snapshot of 60 articles: date, article, pieces."""
    cut_off = FAULTY and date == dt.date(2024, 2, 20)
    articles = 25 if cut_off else 60
    return [[date, article, (date.toordinal() * article) % 97] for article in range(1, articles + 1)]


def write(name: str, header: str, rows: list[list[object]]) -> None:
    """Write one source."""
    with Path("source", f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([header.split(), *rows])


Path("source").mkdir(exist_ok=True)
write("sales", "date shop_id orders amount", [row for date in DATES for row in sales(date)])
write("stock", "date article pieces", [row for date in DATES for row in stock(date)])
write("returns", "date shop_id amount", [[date, 1 + date.toordinal() % 12, 20] for date in DATES])
mondays = [date for date in DATES if date.weekday() == 0]
if FAULTY:  # without a target, the join of the report finds nothing
    mondays.remove(dt.date(2024, 3, 11))
write("targets", "date target", [[date, 150_000] for date in mondays])
# At the end of March the list lacks the manager of shop 9: the join of the monthly report loses that shop.
months = ["2024-01-31", "2024-02-29", "2024-03-31"]
managers = [[month, shop, f"manager {shop}"] for month in months for shop in SHOPS]
if FAULTY:
    managers.remove(["2024-03-31", 9, "manager 9"])
write("managers", "month shop_id manager", managers)
# A letter in a number, which only the job of the balance meets.
write("corrections", "date amount", [["2024-01-31", "-100"], ["2024-02-29", "1O0"], ["2024-03-29", "50"]])

# What the accountants and the head office keep in the lake.
for name, columns, rows in (
    ("closing_days", "date DATE", [["2024-01-31"], ["2024-02-29"], ["2024-03-29"]]),
    (
        "shop_days",
        "date DATE, shop_id INTEGER, is_open BOOLEAN",
        [[date, shop, is_open(shop, date)] for date in DATES for shop in range(1, 14)],
    ),
):
    Path("lake/ref", name).mkdir(parents=True, exist_ok=True)
    values = ", ".join("(" + ", ".join(f"'{value}'" for value in row) + ")" for row in rows)
    duckdb.execute(f"CREATE TABLE {name} ({columns}); INSERT INTO {name} VALUES {values}")
    duckdb.execute(f"COPY {name} TO 'lake/ref/{name}/part-0.parquet'")
