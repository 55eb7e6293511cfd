"""The demo on BigQuery: a real daemon, real jobs, Google's client, an emulator over HTTP."""

import datetime as dt
import re
from collections import Counter
from pathlib import Path

from backfilld.demo import lake, run_log
from backfilld.demo.processors import PROCESSORS
from tests.acceptance.daemon import FEW, Daemon, daemon
from tests.integration import emulator

SHORT = {'lookback = "season"': "lookback = 0"}
"""Phase 4 does not look back to the opener, so that one date is a whole run."""
THREE_SOURCES = (*FEW, "bettingpros_player_points_props", "bigdataball_play_by_play")
BOOTSTRAP = "2021-10-25"


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
    with daemon(tmp_path / "d", bigquery=bigquery_endpoint, changes=SHORT) as one:
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
        rows = {name: in_the_lake(one, name, dt.date(2021, 10, 26)) for name in PROCESSORS}
        assert {cell["processor"]: cell["rows"] for cell in told} == rows
        # With at most two queries for each gate that an attempt led to
        attempts = len(list(one.client.all("/v1/attempts")))
        assert attempts == len(run_log.runs(one.lake)) == len(PROCESSORS)
        assert queries(one, "gate") <= 2 * (attempts + 2)
        assert queries(one, "calendar") <= 3


def test_a_warehouse_that_goes_away_in_the_middle_fails_nothing(tmp_path: Path) -> None:
    (tmp_path / "emulator").mkdir()
    with (
        emulator.running(tmp_path / "emulator") as server,
        daemon(tmp_path / "d", bigquery=server.address, changes=SHORT, processors=THREE_SOURCES) as one,
    ):
        # Given a bootstrap date of which something is done and something is under way
        number = one.enqueue(BOOTSTRAP, BOOTSTRAP)
        one.wait_for(lambda: list(one.client.all("/v1/attempts", status="exited", failed="false")), "at work")

        # When the warehouse is killed
        server.kill()

        # Then dates wait, and say for what
        def told() -> list[str]:
            return [d["waiting_on"] or "" for d in one.client.all("/v1/dates")]

        away = "the warehouse is not queried: BigQuery cannot be reached"
        one.wait_for(lambda: all(text.startswith(away) for text in told()), "waiting for the warehouse")
        assert one.status(number) == "active"

        # And when it is back, all end well, each job that it took with it being run once more
        server.start()
        one.finish(number)
        assert one.outcomes(BOOTSTRAP, BOOTSTRAP) == {BOOTSTRAP: "bootstrap"}
        runs = Counter(a["processor"] + a["dates"][0] for a in one.client.all("/v1/attempts"))
        assert len(runs) == 5
        assert max(runs.values()) <= 2
