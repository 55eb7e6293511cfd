"""Write the exports of a web shop, with the faults that README.md lists: orders and customers."""

import csv
import datetime as dt
from pathlib import Path

FIRST, LAST = dt.date(2024, 1, 1), dt.date(2024, 3, 31)
REFUND = dt.date(2024, 2, 20)


def orders(date: dt.date) -> list[list[object]]:
    """The orders of a date: order, date, customer, amount."""
    number = 20 + date.toordinal() % 7
    rows: list[list[object]] = [[f"{date:%Y%m%d}-{n}", date, 1 + n % 9, 10 + n] for n in range(number)]
    if date == REFUND:  # in cents, where all other amounts are in euros
        rows[7][3] = -2_500_000
    if date == FIRST:  # the shop sends an order twice
        rows.append(rows[4])
    return [] if date == LAST else rows  # its last date has not been exported yet


def write(name: str, header: str, rows: list[list[object]]) -> None:
    """Write one export."""
    with Path("source", f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([header.split(), *rows])


Path("source").mkdir(exist_ok=True)
dates = [FIRST + dt.timedelta(days=n) for n in range((LAST - FIRST).days + 1)]
write("orders", "order_id date customer_id amount", [row for date in dates for row in orders(date)])
customers: list[list[object]] = [[number, "retail", FIRST, LAST] for number in range(1, 10)]
customers.append([3, "wholesale", "2024-03-05", "2024-03-05"])  # two segments on one date
write("customers", "customer_id segment valid_from valid_to", customers)
