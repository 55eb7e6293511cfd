"""The thread that asks Cloud Run: nothing that is unforeseen ends it, and what is over holds up nobody."""

import errno
import threading
from itertools import pairwise
from typing import Any

import pytest

from daemon import worker
from daemon.executors import Job, cloud_run, cloud_run_api
from daemon.executors.process import Identity
from tests.integration.cloud_run.asking import WAITS, dead_launcher, remark
from tests.integration.cloud_run.stub import CloudRunStub, refuse
from tests.integration.hand import Hand
from tests.integration.real_jobs import changed, until
from tests.integration.served import Answer
from tests.patience import PATIENCE

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
    hand: Hand, api: CloudRunStub, body: Any, told: str
) -> None:
    def answers() -> None:
        raise Answer(200, body)

    api.logging = answers
    hand.shell("exit 5")
    assert hand.exit().code == 5
    assert told in hand.output()


def test_the_watch_goes_on_after_an_error_that_nobody_foresaw(
    hand: Hand, impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given an attempt of another daemon, and no file descriptor left to look for that one
    hand.shell("true")
    hand.exit()
    monkeypatch.setattr(worker, "FAULT_PAUSE_SECONDS", 0.05)
    with monkeypatch.context() as full:

        def fails(_: Identity) -> int:
            raise OSError(errno.EMFILE, "Too many open files")

        full.setattr(Identity, "open", fails)
        hand.executor.recover({2: changed(dead_launcher(hand.handles[1]), mark="2-of-nobody")})

        # Then the attempt waits, and says why
        told = "the watch of Cloud Run meets an error: OSError: [Errno 24] Too many open files"
        until(lambda: remark(hand) == told, told)

    # And goes on when there are some again
    assert hand.exit().detail == "lost: never started"


def test_a_request_that_hangs_is_named_and_asks_for_nothing_when_it_comes_back(
    hand: Hand, api: CloudRunStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a request that never ends by itself, the last one before an execution is asked for
    monkeypatch.setattr(cloud_run_api, "HTTP_TIMEOUT", PATIENCE)
    entered, release, answered = threading.Event(), threading.Event(), threading.Event()

    def hangs(method: str, path: str) -> None:
        if not entered.is_set():
            entered.set()
            assert release.wait(PATIENCE)
            answered.set()

    api.before = hangs
    hand.shell(WAITS)
    assert entered.wait(PATIENCE)
    # When it has hung for too long, it is named, and the execution begins without it
    with monkeypatch.context() as limit:
        limit.setattr(worker, "STALL_SECONDS", 0.0)
        until(lambda: "hang" in hand.executor.fault or "hung" in hand.executor.fault, "the fault")
    hand.pid("leader")
    # When it comes back, no second execution is asked for
    release.set()
    until(lambda: answered.is_set() and not hand.executor.fault, "the end of what hung")
    (hand.cwd / "end").touch()
    assert hand.exit().code == 7
    assert len(api.runs) == 1


def test_output_that_cannot_be_read_holds_up_no_execution(
    hand: Hand, api: CloudRunStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given some that have ended, of which Cloud Logging shows no more, and one under way
    monkeypatch.setattr(cloud_run, "LATE_SECONDS", 3.0)
    asked: list[str] = []

    def away() -> None:
        raise refuse(503, "Not now")

    def note(method: str, path: str) -> None:
        asked.append(path.rpartition("/")[2])

    over = [Job(attempt=n, argv=("true",), cwd=hand.cwd, processor="team") for n in range(2, 6)]
    hand.executor.launch(over, hand.handles.update)
    left = {job.attempt for job in over}

    def all_ended() -> bool:
        left.difference_update(seen.attempt for seen in hand.executor.poll() if seen.exit)
        return not left

    until(all_ended, "their ends")
    hand.shell(WAITS)
    hand.pid("leader")
    api.logging, api.before = away, note

    # Then it is looked at between any two of the others
    until(lambda: asked.count("entries:list") == len(over), "all to be read once more")
    reads = [n for n, path in enumerate(asked) if path == "entries:list"]
    assert all(later - earlier > 1 for earlier, later in pairwise(reads))
