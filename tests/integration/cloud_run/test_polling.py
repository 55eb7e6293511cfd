"""The thread that asks Cloud Run: nothing that is unforeseen ends it, and what is over holds up nobody."""

import errno
import threading
from itertools import pairwise
from typing import Any

import pytest

from backfilld.daemon import wakeable_task_thread
from backfilld.daemon.executors.adapter import Job
from backfilld.daemon.executors.cloud_run import client, executor
from backfilld.daemon.executors.process_identity import Identity
from tests.integration.cloud_run.client_driver import WAITS, dead_launcher, status_message
from tests.integration.cloud_run.stub import CloudRunStub, refuse
from tests.integration.executor_driver import ExecutorDriver
from tests.integration.real_jobs import changed, until
from tests.integration.served_api import Answer
from tests.timeouts import PATIENCE

TOLD = "[backfilld: Cloud Logging gives no usable answer: "


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ([], TOLD),
        ({"entries": ["text"]}, TOLD),
        ({"entries": [{"jsonPayload": "text"}]}, TOLD),
        ({"entries": [{"textPayload": "half of \ud83d"}]}, "half of ?"),
    ],
)
def test_output_of_another_shape_keeps_no_end_from_being_told(
    driver: ExecutorDriver, api: CloudRunStub, body: Any, told: str
) -> None:
    def answers() -> None:
        raise Answer(200, body)

    api.logging = answers
    driver.shell("exit 5")
    assert driver.result().code == 5
    assert told in driver.output()


def test_the_watch_goes_on_after_an_error_that_nobody_foresaw(
    driver: ExecutorDriver, impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given an attempt of another daemon, and no file descriptor left to look for that one
    driver.shell("true")
    driver.result()
    monkeypatch.setattr(wakeable_task_thread, "FAULT_PAUSE_SECONDS", 0.05)
    with monkeypatch.context() as full:

        def fails(_: Identity) -> int:
            raise OSError(errno.EMFILE, "Too many open files")

        full.setattr(Identity, "open", fails)
        driver.executor.recover({2: changed(dead_launcher(driver.handles[1]), correlation_id="2-unknown")})

        # Then the attempt waits, and says why
        told = "polling Cloud Run fails: OSError: [Errno 24] Too many open files"
        until(lambda: status_message(driver) == told, told)

    # And goes on when there are some again
    assert driver.result().detail == "lost: never started"


def test_a_request_that_hangs_is_named_and_asks_for_nothing_when_it_comes_back(
    driver: ExecutorDriver, api: CloudRunStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a request that never ends by itself, the last one before an execution is asked for
    monkeypatch.setattr(client, "HTTP_TIMEOUT", PATIENCE)
    entered, release, answered = threading.Event(), threading.Event(), threading.Event()

    def hangs(method: str, path: str) -> None:
        if not entered.is_set():
            entered.set()
            assert release.wait(PATIENCE)
            answered.set()

    api.before = hangs
    driver.shell(WAITS)
    assert entered.wait(PATIENCE)
    # When it has hung for too long, it is named, and the execution begins without it
    with monkeypatch.context() as limit:
        limit.setattr(wakeable_task_thread, "STALL_SECONDS", 0.0)
        until(lambda: "hang" in driver.executor.fault or "hung" in driver.executor.fault, "the fault")
    driver.pid("leader")
    # When it comes back, no second execution is asked for
    release.set()
    until(lambda: answered.is_set() and not driver.executor.fault, "the end of what hung")
    (driver.cwd / "end").touch()
    assert driver.result().code == 7
    assert len(api.runs) == 1


def test_output_that_cannot_be_read_holds_up_no_execution(
    driver: ExecutorDriver, api: CloudRunStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given some that have ended, of which Cloud Logging shows no more, and one under way
    monkeypatch.setattr(executor, "LATE_SECONDS", 3.0)
    asked: list[str] = []

    def away() -> None:
        raise refuse(503, "Not now")

    def note(method: str, path: str) -> None:
        asked.append(path.rpartition("/")[2])

    over = [Job(attempt=n, argv=("true",), cwd=driver.cwd, processor="team") for n in range(2, 6)]
    driver.executor.launch(over, driver.handles.update)
    left = {job.attempt for job in over}

    def all_ended() -> bool:
        left.difference_update(status.attempt for status in driver.executor.poll() if status.result)
        return not left

    until(all_ended, "their ends")
    driver.shell(WAITS)
    driver.pid("leader")
    api.logging, api.before = away, note

    # Then it is looked at between any two of the others
    until(lambda: asked.count("entries:list") == len(over), "all to be read once more")
    reads = [n for n, path in enumerate(asked) if path == "entries:list"]
    assert all(later - earlier > 1 for earlier, later in pairwise(reads))
