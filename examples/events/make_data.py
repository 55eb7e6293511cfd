"""Write the export of an analytics service, and a table of hours: make_data.py [complete].

Without `complete`, the export has the faults that README.md lists.
"""

import csv
import datetime as dt
import sys
from pathlib import Path

import duckdb

FIRST, LAST = dt.date(2024, 1, 1), dt.date(2024, 3, 31)
FAULTY = "complete" not in sys.argv
USERS = range(1, 31)


def events(date: dt.date) -> list[list[object]]:
    """The events of a date: event, date, hour, user, kind. Each user is there in one hour, ten in two."""
    rows = []
    for user in USERS:
        hours = [(user * 7 + date.toordinal()) % 24, user % 24] if user % 3 == 0 else [user % 24]
        for number, hour in enumerate(dict.fromkeys(hours)):
            kind = "order" if (user + date.toordinal()) % 4 == 0 and number == 0 else "view"
            rows.append([f"{date:%Y%m%d}-{user}-{number}", date, hour, user, kind])
    if FAULTY and date == dt.date(2024, 1, 20):  # the service sends an order twice
        rows.append(next(row for row in rows if row[4] == "order"))
    if FAULTY and date == dt.date(2024, 2, 14):  # two hours are missing
        rows = [row for row in rows if row[2] not in (13, 14)]
    return rows


if __name__ == "__main__":
    Path("source").mkdir(exist_ok=True)
    Path("lake/ref/hours").mkdir(parents=True, exist_ok=True)
    duckdb.sql("SELECT range AS hour FROM range(24)").write_parquet("lake/ref/hours/part-0.parquet")
    with Path("source/events.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["event_id", "date", "hour", "user_id", "kind"])
        for number in range((LAST - FIRST).days + 1):
            writer.writerows(events(FIRST + dt.timedelta(days=number)))
