"""A real daemon with a check command: killed while it runs, an output that changes, and a file that does."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner

from backfilld.api.cli.main import cli
from tests.acceptance.daemon import Daemon, daemon

DAY = "2021-10-19"
PIPELINE = """
name = "small"
warehouse = { kind = "lake", path = "lake" }

[jobs]
max_attempts = 1
confirm_after = "0s"

[[phase]]
name = "raw"

[[phase.processor]]
name = "box"
table = "nba.box"
command = ["sh", "job.sh", "{date}"]
expect.check = { command = ["sh", "check.sh", "{date}"] }
"""
JOB = """
mkdir -p "lake/nba/box/date=$1"
cp three.parquet "lake/nba/box/date=$1/part-0.parquet"
"""
# It waits for the file `go`, and says no while there is a file `bad`.
CHECK = """
echo "$1 $BACKFILLD_PROCESSOR" >> checked
while [ ! -e go ]; do sleep 0.1; done
[ ! -e bad ] || { echo "$(cat bad)"; exit 1; }
"""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Daemon]:
    with daemon(tmp_path / "d", start=False) as one:
        one.pipeline.write_text(PIPELINE)
        (one.folder / "job.sh").write_text(JOB)
        (one.folder / "check.sh").write_text(CHECK)
        duckdb.sql(f"COPY (SELECT * FROM range(3)) TO '{one.folder / 'three.parquet'}' (FORMAT parquet)")
        one.start()
        yield one


def checked(one: Daemon) -> list[str]:
    file = one.folder / "checked"
    return file.read_text().splitlines() if file.exists() else []


def box(one: Daemon) -> tuple[str, str]:
    """Verdict and reason of the output."""
    (check,) = one.client.get(f"/v1/dates/{DAY}")["processors"]
    return check["verdict"], check["reason"]


def test_a_check_survives_kills_changed_outputs_and_changed_commands(served: Daemon) -> None:
    one, name = served, f'check "sh check.sh {DAY}"'
    # Given a job that has ended, and a check of its output that runs
    number = one.enqueue(DAY, DAY)
    one.wait_for(lambda: len(checked(one)) == 1, "checking")
    one.wait_for(lambda: box(one) == ("unknown", f"{name} is running"), "said")
    assert one.client.get(f"/v1/dates/{DAY}")["waiting_on"] == f"{name} is running"
    # When the daemon is killed, and the next one finds no result
    one.signal(signal.SIGKILL)
    one.start()
    one.wait_for(lambda: len(checked(one)) == 2, "checking again")
    (one.folder / "go").touch()
    one.finish(number)
    # Then the date is done by the check, and the job ran once
    assert one.outcomes(DAY, DAY) == {DAY: "complete"}
    assert checked(one) == [f"{DAY} box"] * 2
    assert len(one.client.get(f"/v1/dates/{DAY}")["attempts"]) == 1
    # When another run has rewritten the output, which the check rejects now, and the date is requested again
    (one.folder / "bad").write_text("3 rows of the wrong season")
    part = one.lake / "nba" / "box" / f"date={DAY}" / "part-0.parquet"
    shutil.copy(one.folder / "three.parquet", part.with_suffix(".new"))
    part.with_suffix(".new").replace(part)
    one.finish(one.enqueue(DAY, DAY))
    # Then its check has run on what was there, and on what the job made of it, which is no better
    assert box(one) == ("degraded", f"{name} exited 1: 3 rows of the wrong season")
    assert len(one.client.get(f"/v1/dates/{DAY}")["attempts"]) == 2
    printed = CliRunner().invoke(cli, ["logs", DAY, "box", "--check"], env=url(one))
    assert printed.output == "3 rows of the wrong season\n", printed.output
    # When the file has another command, then that one runs on the same output
    one.pipeline.write_text(PIPELINE.replace('"{date}"] }', '"{date}", "strict"] }'))
    (one.folder / "bad").unlink()
    runs = len(checked(one))
    assert one.process is not None
    one.process.send_signal(signal.SIGHUP)
    one.wait_for(lambda: "has changed" in one.log(), "reloaded")
    one.wait_for(one._ready, "ready")
    one.finish(one.enqueue(DAY, DAY))
    assert one.outcomes(DAY, DAY) == {DAY: "complete"}
    assert len(checked(one)) == runs + 1
    assert len(one.client.get(f"/v1/dates/{DAY}")["attempts"]) == 2
    # And a stopped daemon leaves no check behind
    assert one.signal(signal.SIGTERM) == 0


def url(one: Daemon) -> dict[str, str]:
    return {"BACKFILLD_URL": f"http://127.0.0.1:{one.port}"}
