"""Somebody else's scheduler works on the same dates: they wait for it, and say whom they wait for."""

import datetime as dt
import time
from pathlib import Path

import duckdb

from backfilld.demo import lake as lakes
from tests.acceptance import audit
from tests.acceptance.daemon import ONE_OF_EACH, daemon

DAY, OTHER_DAY = dt.date(2021, 10, 19), dt.date(2021, 10, 20)
CHANGES = {
    "[history]\n": '[engine]\nrecheck_interval = "1s"\n\n[history]\ncontroller = "triggered_by"\n',
    'stale_after = "30s"': 'stale_after = "1h"',
}


def note(lake: Path, status: str, started_at: float) -> None:
    """A row of the run history, as another controller's run writes it."""
    row = lakes.HistoryRow(
        processor="team_offense_game_summary",
        date=DAY,
        run_id="airflow-1",
        status=status,
        started_at=started_at,
        processed_at=None if status == "running" else time.time(),
    )
    lakes.append_history(lake, row)
    number = 1 if status == "running" else 2
    folder = lakes.partition(lake, lakes.HISTORY, "data_date", DAY)
    path = folder / f"airflow-1-{number}.parquet"
    with duckdb.connect() as db:
        rows = db.from_parquet(str(path), hive_partitioning=False)
        rows.project("*, 'airflow-prod' AS triggered_by").write_parquet(str(path.with_suffix(".new")))
    path.with_suffix(".new").rename(path)


def test_a_date_that_another_controller_works_on_waits_and_names_it(tmp_path):
    with daemon(tmp_path / "d", changes=CHANGES, processors=ONE_OF_EACH) as one:
        # Given another controller at work on one output of a date
        started_at = time.time()
        note(one.lake, "running", started_at)
        # When the date is enqueued, and another one beside it
        number = one.enqueue(DAY.isoformat(), OTHER_DAY.isoformat())

        def told(day):
            return one.client.get(f"/v1/dates/{day}")

        one.wait_for(lambda: told(OTHER_DAY)["outcome"] == "bootstrap", "done with the other date")
        # Then it waits with the name, and nothing of that state is started beside the other's run
        one.wait_for(lambda: "airflow-prod" in (told(DAY)["waiting_on"] or ""), "told who it waits for")
        assert told(DAY)["state"] == "phase3"
        assert [a["processor"] for a in told(DAY)["attempts"] if a["phase"] == "phase3"] == []
        # And goes on when that run has ended
        note(one.lake, "failed", started_at)
        one.finish(number)
        assert told(DAY)["outcome"] == "bootstrap"
        assert audit.wrong_partitions(one.lake, [DAY, OTHER_DAY]) == []
