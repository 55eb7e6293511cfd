"""A Cloud Run API that does not answer: nothing is lost, nothing begins twice, and what waits says why."""

import signal
import threading
import time
from pathlib import Path

import pytest

from backfilld.daemon.executors.cloud_run import client, executor
from tests.integration.cloud_run.client_driver import WAITS, driver_of, on_run, status_message
from tests.integration.cloud_run.stub import CloudRunStub, refuse
from tests.integration.executor_driver import ExecutorDriver
from tests.integration.real_jobs import lives, until
from tests.integration.served_api import Answer, Dropped

ANSWERS = {
    "403": lambda: refuse(403, "Permission denied"),
    "404": lambda: refuse(404, "It does not exist"),
    "429": lambda: refuse(429, "Quota exceeded"),
    "503": lambda: refuse(503, "Not now"),
    "another shape": lambda: Answer(502, {"error": "bad gateway"}),
    "no JSON": lambda: Answer(200, "<html>"),
    "no answer": Dropped,
}
TOLD = {
    "403": "Cloud Run answers 403: Permission denied",
    "404": "Cloud Run answers 404: It does not exist",
    "429": "Cloud Run answers 429: Quota exceeded",
    "503": "Cloud Run answers 503: Not now",
    "another shape": "Cloud Run gives no usable answer: ",
    "no JSON": "Cloud Run gives no usable answer: Failed to load JSON: ",
    "no answer": "Cloud Run cannot be reached: Remote end closed connection without response ",
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_an_attempt_waits_for_an_api_that_does_not_answer(
    driver: ExecutorDriver, api: CloudRunStub, answer: str, impatient: None
) -> None:
    """All it asks fails, at first before it could begin, then while it runs."""
    made, told = ANSWERS[answer], TOLD[answer]

    def fails(method: str, path: str) -> None:
        raise made()

    api.before = fails
    driver.shell(WAITS)
    until(lambda: status_message(driver).startswith(told), told)
    assert api.runs == []
    api.before = lambda method, path: None
    leader = driver.pid("leader")
    until(lambda: not status_message(driver), "the execution to be seen")
    api.before = fails
    until(lambda: status_message(driver).startswith(told), told)
    time.sleep(2 * executor.SEARCH_SECONDS)  # longer than an execution is looked for
    assert status_message(driver).startswith(told)
    assert lives(leader)
    (driver.cwd / "end").touch()
    api.before = lambda method, path: None
    assert driver.result().code == 7
    assert len(api.executions) == 1


@pytest.mark.parametrize("answer", ["403", "404", "429"])
def test_a_refused_execution_is_asked_for_again(
    driver: ExecutorDriver, api: CloudRunStub, answer: str
) -> None:
    made, told = ANSWERS[answer], TOLD[answer]

    def fails() -> None:
        raise made()

    api.before = on_run(fails)
    driver.shell("true")
    until(lambda: status_message(driver).startswith(told), told)
    api.before = lambda method, path: None
    assert driver.result().code == 0
    assert len(api.executions) == 1


@pytest.mark.parametrize("answer", ["503", "no JSON", "no answer"])
def test_an_execution_whose_answer_is_lost_is_found(
    driver: ExecutorDriver, api: CloudRunStub, answer: str
) -> None:
    def fails() -> None:
        raise ANSWERS[answer]()

    api.after = on_run(fails)
    driver.shell(WAITS)
    driver.pid("leader")
    (driver.cwd / "end").touch()
    assert driver.result().code == 7
    assert len(api.runs) == 1


def test_an_answer_that_takes_too_long_is_lost_too(
    driver: ExecutorDriver, api: CloudRunStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "HTTP_TIMEOUT", 1.0)
    late = threading.Event()
    api.after = on_run(late.wait)
    driver.shell("exit 5")
    assert driver.result().code == 5
    late.set()
    assert len(api.runs) == 1


def test_what_came_of_no_answer_is_looked_for_before_it_is_asked_for_again(
    driver: ExecutorDriver, api: CloudRunStub, impatient: None
) -> None:
    asked: list[str] = []

    def lost(method: str, path: str) -> None:
        asked.append(path.rpartition("/")[2])
        if asked.count("team:run") == 1 and path.endswith(":run"):
            raise Dropped

    api.before = lost
    driver.shell("exit 5")
    assert driver.result().code == 5
    first, second = [n for n, path in enumerate(asked) if path == "team:run"]
    assert "executions" in asked[first:second]
    assert len(api.executions) == 1


def test_what_may_have_been_asked_for_waits_while_nobody_can_look(
    driver: ExecutorDriver, api: CloudRunStub, impatient: None
) -> None:
    def lost(method: str, path: str) -> None:
        if path.endswith(":run"):
            raise Dropped
        if path.endswith("/executions"):
            raise refuse(403, "Permission 'run.executions.list' denied")

    api.after = lost
    driver.shell(WAITS)
    told = "Cloud Run answers 403: Permission 'run.executions.list' denied"
    until(lambda: status_message(driver).startswith(told), told)
    driver.executor.stop(1, grace=0)
    time.sleep(2 * executor.SEARCH_SECONDS)  # longer than an execution is looked for
    assert status_message(driver).startswith(told)
    # When it can be looked for again, it is found, and ended
    api.after = lambda method, path: None
    assert driver.result().code == 143
    assert len(api.runs) == 1


def test_an_attempt_that_waits_to_begin_can_be_ended(driver: ExecutorDriver, api: CloudRunStub) -> None:
    def fails() -> None:
        raise refuse(429, "Quota exceeded")

    api.before = on_run(fails)
    driver.shell("touch ran")
    until(lambda: status_message(driver) == "Cloud Run answers 429: Quota exceeded", "the refusal")
    driver.executor.stop(1, grace=10)
    end = driver.result()
    assert (end.code, end.detail, end.counts_as_attempt) == (None, "lost: ended before it began", False)
    assert api.executions == {}


def test_an_execution_that_somebody_deleted_is_lost_once_a_listing_shows_it(
    driver: ExecutorDriver, api: CloudRunStub, impatient: None
) -> None:
    driver.shell(WAITS)
    driver.pid("leader")
    until(driver.output, "the execution to be seen")
    (execution,) = api.executions.values()
    execution.kill(signal.SIGKILL)
    execution.process.wait()
    api.executions.clear()
    end = driver.result()
    assert (end.detail, end.counts_as_attempt) == ("lost: its execution is gone", True)


def test_a_slow_api_keeps_nobody_waiting(driver: ExecutorDriver, api: CloudRunStub) -> None:
    answers = threading.Event()

    def hangs(method: str, path: str) -> None:
        answers.wait()

    api.before = hangs
    driver.shell("true")
    driver.executor.recover({2: None})
    assert {status.attempt for status in driver.executor.poll()} == {1, 2}
    driver.executor.stop(2, grace=0)
    answers.set()
    assert driver.result().code == 0


def test_two_daemons_see_the_same_end(driver: ExecutorDriver, api: CloudRunStub, tmp_path: Path) -> None:
    driver.shell(WAITS)
    driver.pid("leader")
    other = driver_of(api, tmp_path / "standby")
    other.executor.recover(driver.handles)
    (driver.cwd / "end").touch()
    assert other.result() == driver.result()
    other.executor.close()
