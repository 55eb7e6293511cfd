"""A monthly processor with real jobs: one process writes a month once the sources of all dates are there."""

import datetime as dt
from pathlib import Path

import duckdb

from backfilld.daemon.engine.enqueue_models import EnqueueRequest
from backfilld.daemon.service import Service
from backfilld.daemon.settings import Settings
from backfilld.state.records import Actor
from backfilld.state.store import attempts, dates
from tests.integration.real_jobs import until

DATES = tuple(dt.date(2021, 11, 28) + dt.timedelta(days=n) for n in range(4))
"""Three dates of November, of which the calendar has no more, and one of December."""
FILE = """
name = "shop"
calendar.file = "calendar.csv"
jobs.slots = 4
[warehouse]
kind = "lake"
path = "lake"
[[phase]]
name = "raw"
[[phase.processor]]
name = "sales"
table = "raw.sales"
command = ["sh", "job.sh", "raw/sales", "{date}"]
writers = 4
[[phase]]
name = "reports"
[[phase.processor]]
name = "statement"
table = "reports.statement"
command = ["sh", "job.sh", "reports/statement", "{dates}"]
period = "month"
"""
JOB = """
for date in $(echo "$2" | tr , ' '); do
    mkdir -p "lake/$1/date=$date" && cp part.parquet "lake/$1/date=$date/.new"
    mv "lake/$1/date=$date/.new" "lake/$1/date=$date/part-0.parquet"
done
"""


def test_one_process_writes_each_month_after_all_its_sources(tmp_path: Path) -> None:
    (tmp_path / "pipeline.toml").write_text(FILE)
    (tmp_path / "job.sh").write_text(JOB)
    duckdb.sql("SELECT 7 AS amount").write_parquet(str(tmp_path / "part.parquet"))
    (tmp_path / "lake").mkdir()
    days = "".join(f"{date},3\n" for date in DATES)
    (tmp_path / "calendar.csv").write_text(f"date,shops\n{days}")
    chosen = Settings(
        pipeline=tmp_path / "pipeline.toml", state_dir=tmp_path / "state", host="127.0.0.1", port=0
    )
    service = Service(chosen)
    service.start()
    try:
        receipt = service.enqueuer.enqueue(EnqueueRequest(dates=DATES, by=Actor(name="me")))
        service.wake()

        def ended() -> bool:
            with service.db.read() as tx:
                rows = dates.get_many(tx, DATES)
                return all(row.outcome for row in rows.values())

        until(ended, "the dates to end")
        with service.db.read() as tx:
            assert {row.outcome for row in dates.get_many(tx, DATES).values()} == {"complete"}
            of_date = {date: attempts.for_date(tx, date) for date in DATES}
    finally:
        assert service.stop()
        service.close()
    assert receipt.outcomes == {"enqueued": 4}
    statements = {row.id: row for rows in of_date.values() for row in rows if row.processor == "statement"}
    assert len(statements) == 2
    # And each began after the last source of its month
    for row in statements.values():
        month = [date for date in DATES if date.month == row.date.month]
        sources = [one for date in month for one in of_date[date] if one.processor == "sales"]
        assert all(one.ended_at is not None and one.ended_at <= row.started_at for one in sources)
