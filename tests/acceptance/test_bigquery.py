"""The demo on BigQuery: a real daemon, real jobs, Google's client, an emulator over HTTP."""

import contextlib
import datetime as dt
import re
from collections import Counter
from pathlib import Path

import pytest

from backfilld.demo import bigquery_publisher, environment, job, lake, run_log
from backfilld.demo.processor_definitions import PROCESSORS
from tests.acceptance.daemon import FEW, Daemon, daemon
from tests.tcp_proxy import TcpProxy

SHORT = {'lookback = "season"': "lookback = 0"}
"""Phase 4 does not look back to the opener, so that one date is a whole run."""
THREE_SOURCES = (*FEW, "bettingpros_player_points_props", "bigdataball_play_by_play")
BOOTSTRAP = "2021-10-25"
DAY = dt.date(2021, 10, 26)


@pytest.fixture
def server(bigquery_endpoint: str) -> str:
    """An emulator without the demo's tables."""
    with contextlib.closing(bigquery_publisher.connect(bigquery_endpoint)) as client:
        for dataset in list(client.list_datasets()):
            client.delete_dataset(dataset, delete_contents=True)
    return bigquery_endpoint


def queries(one: Daemon, purpose: str) -> int:
    """How many queries the daemon says it has sent."""
    text, _ = one.client.text("/metrics")
    found = re.search(
        rf'^backfilld_warehouse_queries_total{{purpose="{purpose}"}} (\S+)$', text, re.MULTILINE
    )
    assert found is not None
    return int(float(found[1]))


def in_the_lake(one: Daemon, name: str, day: dt.date) -> int:
    """The rows that a job left in the lake, where jobs write as well."""
    files = sorted(lake.processor_partition(one.lake, name, day).glob("*.parquet"))
    with lake.connect() as connection:
        return connection.from_parquet([str(file) for file in files]).shape[0]


def test_the_demo_ends_on_bigquery_as_on_the_lake(tmp_path: Path, bigquery_endpoint: str) -> None:
    with daemon(tmp_path / "d", bigquery=bigquery_endpoint, changes=SHORT, processors=THREE_SOURCES) as one:
        # When a preseason date and a date of all phases are asked for
        for number in [one.enqueue(day, day) for day in ("2021-10-18", "2021-10-26")]:
            one.finish(number)

        # Then they end as on the lake
        assert one.outcomes("2021-10-18", "2021-10-26") == {
            "2021-10-18": "not_expected",
            "2021-10-26": "complete",
        }
        # And of every table BigQuery has told the rows that the job wrote
        told = one.client.get("/v1/dates/2021-10-26")["processors"]
        rows = {name: in_the_lake(one, name, DAY) for name in THREE_SOURCES}
        assert {cell["processor"]: cell["rows"] for cell in told} == rows
        # With at most two queries for each gate that an attempt led to
        attempts = len(list(one.client.all("/v1/attempts")))
        assert attempts == len(run_log.runs(one.lake)) == len(THREE_SOURCES)
        assert queries(one, "gate") <= 2 * (attempts + 2)
        assert queries(one, "calendar") <= 3


def test_every_table_of_the_demo_gets_the_rows_that_its_job_writes(
    tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same code as the jobs', without a process for each."""
    folder = environment.prepare(tmp_path / "d", bigquery=server).parent / "lake"
    monkeypatch.setenv("DEMO_BIGQUERY", server)
    written = {}
    for name, processor in PROCESSORS.items():
        with lake.connect() as connection:
            rows = job.rows_of(folder, processor, DAY, connection)
            written[processor.table] = rows.shape[0]
            lake.write_partition(rows, lake.processor_partition(folder, name, DAY))
    with contextlib.closing(bigquery_publisher.connect(server)) as client:
        counts = ", ".join(f"(SELECT COUNT(*) FROM `{table}`)" for table in written)
        (row,) = client.query_and_wait(f"SELECT {counts}")
    counted = dict(zip(written, row.values(), strict=True))
    assert counted == written
    assert all(counted.values())


def test_a_warehouse_that_goes_away_in_the_middle_fails_nothing(tmp_path: Path, server: str) -> None:
    with (
        TcpProxy(server) as proxy,
        daemon(tmp_path / "d", bigquery=proxy.address, changes=SHORT, processors=THREE_SOURCES) as one,
    ):
        # Given a bootstrap date of which something is done and something is under way
        number = one.enqueue(BOOTSTRAP, BOOTSTRAP)
        one.wait_for(lambda: list(one.client.all("/v1/attempts", status="exited", failed="false")), "at work")

        # When the warehouse is gone
        proxy.close()

        # Then dates wait, and say for what
        def told() -> list[str]:
            return [d["waiting_on"] or "" for d in one.client.all("/v1/dates")]

        away = "the warehouse is not queried: BigQuery cannot be reached"
        one.wait_for(lambda: all(text.startswith(away) for text in told()), "waiting for the warehouse")
        assert one.status(number) == "active"

        # And when it is back, all end well, each job that it took with it being run once more
        proxy.open()
        one.finish(number)
        assert one.outcomes(BOOTSTRAP, BOOTSTRAP) == {BOOTSTRAP: "bootstrap"}
        runs = Counter(a["processor"] + a["dates"][0] for a in one.client.all("/v1/attempts"))
        assert len(runs) == 5
        assert max(runs.values()) <= 2
