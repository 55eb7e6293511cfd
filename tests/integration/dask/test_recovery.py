"""A daemon that dies leaves its jobs to the Dask cluster, and the next one finds them there."""

import json
from pathlib import Path

import pytest

from backfilld.daemon.executors.adapter import Job
from backfilld.daemon.executors.dask.client import DaskClient
from tests.integration.dask_cluster import WAITS, Cluster, dask_hand
from tests.integration.executor_driver import Hand
from tests.integration.real_jobs import lives, until


def test_a_running_job_is_adopted_with_its_output_and_its_end(hand: Hand) -> None:
    hand.shell(WAITS)
    leader = hand.pid("leader")
    hand.executor.close()
    assert lives(leader)
    hand.again().recover(hand.handles)
    until(lambda: (seen := hand.seen()) and not seen.elsewhere, "the job to be seen")
    (hand.cwd / "end").touch()
    assert hand.exit().code == 7
    assert hand.output() == "begun\ndone\n"


def test_the_end_of_a_job_that_ended_in_between_is_kept_by_the_cluster(hand: Hand) -> None:
    hand.shell(WAITS)
    leader = hand.pid("leader")
    hand.executor.close()
    (hand.cwd / "end").touch()
    until(lambda: not lives(leader), "the job to end")
    hand.again().recover(hand.handles)
    assert hand.exit().code == 7
    assert hand.output() == "begun\ndone\n"


def test_an_end_that_was_reported_and_not_closed_is_found_again(hand: Hand) -> None:
    hand.shell("exit 6")
    first = hand.exit()
    assert hand.executor.poll() == []
    hand.executor.recover(hand.handles)
    assert hand.exit() == first
    hand.executor.close()
    hand.again().recover(hand.handles)
    assert hand.exit() == first


def test_a_job_that_was_recorded_and_never_submitted_never_began(hand: Hand) -> None:
    hand.shell("exit 0")
    hand.exit()
    ghost = json.dumps(json.loads(hand.handles[1]) | {"key": "backfilld-2-of-nobody"})
    hand.executor.recover({2: ghost, 3: None})
    for _ in range(2):
        end = hand.exit()
        assert (end.code, end.detail, end.tried) == (None, "lost: never started", False)


def test_a_job_whose_permission_never_came_is_held_and_can_be_ended(
    hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The daemon dies between handing over and letting go."""

    def dies(*_: object) -> None:
        raise ConnectionError

    monkeypatch.setattr(DaskClient, "release", dies)
    hand.shell("touch ran")
    hand.executor.close()
    monkeypatch.undo()
    hand.again().recover(hand.handles)
    until(lambda: (seen := hand.seen()) and not seen.elsewhere, "the job to be seen")
    hand.executor.stop(1, grace=0)
    assert (hand.exit().tried, (hand.cwd / "ran").exists()) == (False, False)


def test_a_job_that_cannot_be_recorded_never_begins(hand: Hand, calm: Cluster) -> None:
    class Full(Exception):
        pass

    def fails(_: object) -> None:
        raise Full

    until(lambda: not hand.executor.unavailable_reason, "a scheduler")
    with pytest.raises(Full):
        hand.executor.launch([Job(attempt=77, argv=("touch", "ran"), cwd=hand.cwd)], fails)
    assert hand.executor.poll() == []
    until(lambda: not any(key.startswith("backfilld-77-") for key in calm.kept()), "the cluster to forget")
    assert not (hand.cwd / "ran").exists()


def test_what_was_left_of_an_older_attempt_of_that_number_counts_for_nothing(hand: Hand) -> None:
    hand.shell("echo old; exit 1")
    hand.exit()
    hand.shell("echo new; exit 0")
    assert hand.exit().code == 0
    assert hand.output() == "new\n"


def test_two_daemons_see_the_same_end(hand: Hand, calm: Cluster, tmp_path: Path) -> None:
    hand.shell(WAITS)
    hand.pid("leader")
    other = dask_hand(tmp_path / "standby", hand.cwd, calm.address)
    other.executor.recover(hand.handles)
    until(lambda: (seen := other.seen()) and not seen.elsewhere, "the other to see it")
    (hand.cwd / "end").touch()
    assert other.exit() == hand.exit()
    assert other.output() == hand.output() == "begun\ndone\n"
    other.executor.close()


def test_a_handle_that_is_none_is_lost(hand: Hand) -> None:
    hand.executor.recover({1: "not json"})
    assert hand.exit().detail == "lost: not a handle of a Dask job: 'not json'"
