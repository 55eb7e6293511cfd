"""The thread that asks Cloud Run: nothing that is unforeseen ends it, and what is over holds up nobody."""

import errno
from itertools import pairwise
from typing import Any

import pytest

from backfilld.daemon import worker
from backfilld.daemon.executors.adapter import Job
from backfilld.daemon.executors.cloud_run import executor
from backfilld.daemon.executors.local.process import Identity
from tests.integration.cloud_run.client_driver import WAITS, dead_launcher, status_message
from tests.integration.cloud_run.stub import CloudRunStub, refuse
from tests.integration.executor_driver import Hand
from tests.integration.real_jobs import changed, until
from tests.integration.served_api import Answer

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
        until(lambda: status_message(hand) == told, told)

    # And goes on when there are some again
    assert hand.exit().detail == "lost: never started"


def test_output_that_cannot_be_read_holds_up_no_execution(
    hand: Hand, api: CloudRunStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given some that have ended, of which Cloud Logging shows no more, and one under way
    monkeypatch.setattr(executor, "LATE_SECONDS", 3.0)
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
