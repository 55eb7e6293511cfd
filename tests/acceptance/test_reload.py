"""A real daemon reads its pipeline file again while a real job runs."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import pytest
import requests

from tests.acceptance.daemon import Daemon, daemon
from tests.acceptance.notify_listener import Listener
from tests.timeouts import PATIENCE

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
expect.rows = [1, 9]
expect.check = { command = ["sh", "-c", "echo $0; exit 1", "check of {date}"] }
"""
# It writes three rows once it may go on.
JOB = """
echo "$1" >> runs
echo begins
while [ ! -e go ]; do sleep 0.2; done
mkdir -p "lake/nba/box/date=$1"
cp three.parquet "lake/nba/box/date=$1/part-0.parquet"
"""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Daemon, Listener]]:
    """A daemon under a service manager, with a job that waits for the file `go`."""
    listener = Listener(tmp_path / "notify")
    with daemon(tmp_path / "d", start=False) as one:
        one.forked = False  # it starts anew by its own command line
        one.more_environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "60000000"}
        one.pipeline.write_text(PIPELINE)
        (one.folder / "job.sh").write_text(JOB)
        duckdb.sql(f"COPY (SELECT * FROM range(3)) TO '{one.folder / 'three.parquet'}' (FORMAT parquet)")
        one.start()
        yield one, listener
    listener.close()


def notes(one: Daemon) -> str:
    return requests.get(f"http://127.0.0.1:{one.port}/readyz?verbose", timeout=PATIENCE).text


@contextlib.contextmanager
def requests_meanwhile(one: Daemon) -> Iterator[list[int]]:
    """A hundred requests a second until the context ends. A refused one is an error at its end."""
    answers: list[int] = []
    over = threading.Event()

    def ask() -> None:
        while not over.wait(0.01):
            answers.append(requests.get(f"http://127.0.0.1:{one.port}/readyz", timeout=PATIENCE).status_code)

    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(ask)
        try:
            yield answers
        finally:
            over.set()
        asking.result(PATIENCE)


def children(pid: int) -> list[str]:
    """The states of a process's children; Z is one that was not reaped."""
    pids = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0] for child in pids]


def test_a_reload_refuses_a_wrong_file_and_applies_a_right_one_while_a_job_runs(
    served: tuple[Daemon, Listener],
) -> None:
    one, listener = served
    assert one.process is not None
    pid = one.process.pid
    number = one.enqueue(DAY, DAY)
    one.wait_for((one.folder / "runs").exists, "running")
    # When a file with a mistake is read
    one.pipeline.write_text(PIPELINE.replace("expect.rows", "expect.row"))
    listener.lines.clear()
    one.process.send_signal(signal.SIGHUP)
    listener.wait_for("READY=1")
    # Then it is refused, with the reason where operators look for it, and the daemon serves as before
    assert listener.lines[0] == "RELOADING=1"
    assert "unknown key 'row'; did you mean 'rows'?" in listener.lines[-1]
    assert "[!] pipeline file: refused at " in notes(one)
    assert one.ready() == "ok\n"
    # When one is read that has another check command, and the signal comes more than once
    one.pipeline.write_text(PIPELINE.replace("check of", "new check of"))
    listener.lines.clear()
    with requests_meanwhile(one) as answers:
        one.process.send_signal(signal.SIGHUP)
        listener.wait_for("STATUS=reading the pipeline file again")
        one.process.send_signal(signal.SIGHUP)
        listener.wait_for("STATUS=adopting running jobs")
        listener.wait_for("READY=1")
    # Then requests were answered all the time, those in between too
    assert set(answers) == {200}
    # And the same process serves, the job runs on, and nothing is refused any more
    assert one.process.poll() is None
    assert len(children(pid)) == 1
    assert "pipeline file" not in notes(one)
    # When the job ends
    (one.folder / "go").touch()
    one.finish(number)
    # Then it ran once, its end was seen, and its rows are judged by the new file
    shown = one.client.get(f"/v1/dates/{DAY}")
    assert shown["outcome"] == "exhausted"
    assert f"exited 1: new check of {DAY}; 1 attempt" in shown["reason"]
    assert [(a["status"], a["exit_code"]) for a in shown["attempts"]] == [("exited", 0)]
    assert (one.folder / "runs").read_text().split() == [DAY]
    assert children(pid) == []
    # And the audit has both reloads
    changed, refused = one.client.get("/v1/audit", action="reload")["items"]
    assert changed["after"] == {"changed": ["phase[raw].processor[box].expect.check.command"]}
    assert "unknown key 'row'" in refused["after"]["refused"][0]
    assert one.signal(signal.SIGTERM) == 0


def test_a_job_is_supervised_and_its_log_shown_after_its_executor_left_the_file(
    served: tuple[Daemon, Listener],
) -> None:
    one, listener = served
    # Given a job of an executor of its own on this machine, which runs longer than its limits are then
    box = PIPELINE.replace('name = "box"', 'name = "box"\nexecutor = "box"')
    one.pipeline.write_text(f'{box}[executor.box]\nkind = "local"\n')
    reload(one, listener)
    number = one.enqueue(DAY, DAY)
    one.wait_for((one.folder / "runs").exists, "running")
    # When the file loses the executor, and the limits are short
    one.pipeline.write_text(
        PIPELINE.replace("max_attempts = 1", 'max_attempts = 2\nbackoff = "1s"\ntimeout = "1s"')
    )
    reload(one, listener)
    one.wait_for(lambda: len(runs(one)) == 2, "a second attempt")
    # Then the first job has been ended before the second one began
    shown = one.client.get(f"/v1/dates/{DAY}")["attempts"]
    first, second = sorted(shown, key=lambda attempt: attempt["id"])
    assert first["status"] == "timed_out"
    assert first["ended_at"] <= second["started_at"]
    assert one.client.text(f"/v1/attempts/{first['id']}/log")[0].startswith("begins\n")
    one.client.post(f"/v1/backfills/{number}/cancel")
    one.finish(number)
    assert one.signal(signal.SIGTERM) == 0


def runs(one: Daemon) -> list[str]:
    return (one.folder / "runs").read_text().split()


def reload(one: Daemon, listener: Listener) -> None:
    """Have it read its pipeline file, and wait until it serves by it."""
    assert one.process is not None
    listener.lines.clear()
    one.process.send_signal(signal.SIGHUP)
    listener.wait_for("STATUS=reading the pipeline file again")
    listener.wait_for("READY=1")
