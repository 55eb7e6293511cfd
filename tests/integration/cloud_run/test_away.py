"""A Cloud Run API that does not answer: nothing is lost, nothing begins twice, and what waits says why."""

import signal
import threading
import time
from pathlib import Path

import pytest

from backfilld.daemon.executors.cloud_run import client, executor
from tests.integration.cloud_run.client_driver import WAITS, hand_of, on_run, status_message
from tests.integration.cloud_run.stub import CloudRunStub, refuse
from tests.integration.executor_driver import Hand
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
    hand: Hand, api: CloudRunStub, answer: str, impatient: None
) -> None:
    """All it asks fails, at first before it could begin, then while it runs."""
    made, told = ANSWERS[answer], TOLD[answer]

    def fails(method: str, path: str) -> None:
        raise made()

    api.before = fails
    hand.shell(WAITS)
    until(lambda: status_message(hand).startswith(told), told)
    assert api.runs == []
    api.before = lambda method, path: None
    leader = hand.pid("leader")
    until(lambda: not status_message(hand), "the execution to be seen")
    api.before = fails
    until(lambda: status_message(hand).startswith(told), told)
    time.sleep(2 * executor.SETTLE_SECONDS)  # longer than an execution is looked for
    assert status_message(hand).startswith(told)
    assert lives(leader)
    (hand.cwd / "end").touch()
    api.before = lambda method, path: None
    assert hand.exit().code == 7
    assert len(api.executions) == 1


@pytest.mark.parametrize("answer", ["403", "404", "429"])
def test_a_refused_execution_is_asked_for_again(hand: Hand, api: CloudRunStub, answer: str) -> None:
    made, told = ANSWERS[answer], TOLD[answer]

    def fails() -> None:
        raise made()

    api.before = on_run(fails)
    hand.shell("true")
    until(lambda: status_message(hand).startswith(told), told)
    api.before = lambda method, path: None
    assert hand.exit().code == 0
    assert len(api.executions) == 1


@pytest.mark.parametrize("answer", ["503", "no JSON", "no answer"])
def test_an_execution_whose_answer_is_lost_is_found(hand: Hand, api: CloudRunStub, answer: str) -> None:
    def fails() -> None:
        raise ANSWERS[answer]()

    api.after = on_run(fails)
    hand.shell(WAITS)
    hand.pid("leader")
    (hand.cwd / "end").touch()
    assert hand.exit().code == 7
    assert len(api.runs) == 1


def test_an_answer_that_takes_too_long_is_lost_too(
    hand: Hand, api: CloudRunStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "HTTP_TIMEOUT", 1.0)
    late = threading.Event()
    api.after = on_run(late.wait)
    hand.shell("exit 5")
    assert hand.exit().code == 5
    late.set()
    assert len(api.runs) == 1


def test_what_came_of_no_answer_is_looked_for_before_it_is_asked_for_again(
    hand: Hand, api: CloudRunStub, impatient: None
) -> None:
    asked: list[str] = []

    def lost(method: str, path: str) -> None:
        asked.append(path.rpartition("/")[2])
        if asked.count("team:run") == 1 and path.endswith(":run"):
            raise Dropped

    api.before = lost
    hand.shell("exit 5")
    assert hand.exit().code == 5
    first, second = [n for n, path in enumerate(asked) if path == "team:run"]
    assert "executions" in asked[first:second]
    assert len(api.executions) == 1


def test_what_may_have_been_asked_for_waits_while_nobody_can_look(
    hand: Hand, api: CloudRunStub, impatient: None
) -> None:
    def lost(method: str, path: str) -> None:
        if path.endswith(":run"):
            raise Dropped
        if path.endswith("/executions"):
            raise refuse(403, "Permission 'run.executions.list' denied")

    api.after = lost
    hand.shell(WAITS)
    told = "Cloud Run answers 403: Permission 'run.executions.list' denied"
    until(lambda: status_message(hand).startswith(told), told)
    hand.executor.stop(1, grace=0)
    time.sleep(2 * executor.SETTLE_SECONDS)  # longer than an execution is looked for
    assert status_message(hand).startswith(told)
    # When it can be looked for again, it is found, and ended
    api.after = lambda method, path: None
    assert hand.exit().code == 143
    assert len(api.runs) == 1


def test_an_attempt_that_waits_to_begin_can_be_ended(hand: Hand, api: CloudRunStub) -> None:
    def fails() -> None:
        raise refuse(429, "Quota exceeded")

    api.before = on_run(fails)
    hand.shell("touch ran")
    until(lambda: status_message(hand) == "Cloud Run answers 429: Quota exceeded", "the refusal")
    hand.executor.stop(1, grace=10)
    end = hand.exit()
    assert (end.code, end.detail, end.tried) == (None, "lost: ended before it began", False)
    assert api.executions == {}


def test_an_execution_that_somebody_deleted_is_lost_once_a_listing_shows_it(
    hand: Hand, api: CloudRunStub, impatient: None
) -> None:
    hand.shell(WAITS)
    hand.pid("leader")
    until(hand.output, "the execution to be seen")
    (execution,) = api.executions.values()
    execution.kill(signal.SIGKILL)
    execution.process.wait()
    api.executions.clear()
    end = hand.exit()
    assert (end.detail, end.tried) == ("lost: its execution is gone", True)


def test_a_slow_api_keeps_nobody_waiting(hand: Hand, api: CloudRunStub) -> None:
    answers = threading.Event()

    def hangs(method: str, path: str) -> None:
        answers.wait()

    api.before = hangs
    hand.shell("true")
    hand.executor.recover({2: None})
    assert {seen.attempt for seen in hand.executor.poll()} == {1, 2}
    hand.executor.stop(2, grace=0)
    answers.set()
    assert hand.exit().code == 0


def test_two_daemons_see_the_same_end(hand: Hand, api: CloudRunStub, tmp_path: Path) -> None:
    hand.shell(WAITS)
    hand.pid("leader")
    other = hand_of(api, tmp_path / "standby")
    other.executor.recover(hand.handles)
    (hand.cwd / "end").touch()
    assert other.exit() == hand.exit()
    other.executor.close()
