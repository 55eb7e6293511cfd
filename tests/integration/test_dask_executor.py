"""Jobs on a real Dask cluster: begin once, tell how they ended, and survive or end with what they run on."""

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon import worker
from daemon.executors import Job
from daemon.executors.dask_link import Link
from tests.integration.dask_cluster import Cluster, dask_hand, free_address, running
from tests.integration.hand import Hand
from tests.integration.real_jobs import lives, until

WAITS = "echo $$ >leader; echo begun; until test -e end; do sleep 0.05; done; echo done; exit 7"


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster that nothing happens to."""
    with running(tmp_path_factory.mktemp("dask")) as cluster:
        yield cluster


def hand_of(cluster: Cluster, folder: Path, **more: str) -> Hand:
    cwd = folder / "cwd"
    cwd.mkdir()
    return dask_hand(folder / "attempts", cwd, cluster.address, **more)


@pytest.fixture
def hand(calm: Cluster, tmp_path: Path) -> Iterator[Hand]:
    hand = hand_of(calm, tmp_path)
    yield hand
    hand.executor.close()


@pytest.fixture
def shaken(tmp_path: Path) -> Iterator[Cluster]:
    """A cluster of this test's own, to be hurt."""
    with running(tmp_path / "dask") as cluster:
        yield cluster


@pytest.fixture
def hurt(shaken: Cluster, tmp_path: Path) -> Iterator[Hand]:
    hand = hand_of(shaken, tmp_path)
    yield hand
    hand.executor.close()


# ---- as with the local executor


def test_a_job_tells_how_it_ended_and_what_it_wrote(hand: Hand, calm: Cluster) -> None:
    hand.shell("echo out; echo err >&2; echo $GIVEN $BACKFILLD_ATTEMPT; exit 3")
    began = time.time()
    end = hand.exit()
    assert (end.code, end.detail, end.tried) == (3, "", True)
    assert began - 30 < end.ended_at <= time.time()
    assert end.cpu_seconds is not None
    assert hand.output() == "out\nerr\nto the job 1\n"
    # When the executor is asked again, the end is noted, and the cluster keeps nothing
    assert hand.executor.poll() == []
    key = json.loads(hand.handles[1])["key"]
    until(lambda: not any(key in kept for kept in calm.kept()), "the cluster to forget")


def test_the_watch_goes_on_after_an_error_that_nobody_foresaw(
    hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a job that runs
    hand.shell(WAITS)
    until(lambda: hand.output() == "begun\n", "the first output")
    monkeypatch.setattr(worker, "FAULT_PAUSE_SECONDS", 0.05)
    # When looking at it fails in a way of its own
    with monkeypatch.context() as odd:
        odd.setattr(Link, "look", lambda *_: {}["odd"])
        told = "the watch of Dask meets an error: KeyError: 'odd'"
        until(lambda: (seen := hand.seen()) is not None and seen.remark == told, told)
    # Then it is seen to its end nonetheless
    (hand.cwd / "end").touch()
    assert hand.exit().code == 7


def test_output_can_be_read_while_the_job_runs(hand: Hand) -> None:
    hand.shell(WAITS)
    until(lambda: hand.output() == "begun\n", "the first output")
    (hand.cwd / "end").touch()
    assert hand.exit().code == 7
    assert hand.output() == "begun\ndone\n"


def test_of_more_output_than_is_copied_in_time_the_log_says_how_much_is_missing(hand: Hand) -> None:
    hand.shell("head -c 3000000 /dev/zero | tr '\\0' x; echo; echo last")
    assert hand.exit().code == 0
    log = hand.output()
    whole, missing = 3000006, log.count("bytes of output were not copied")
    assert log.endswith("x\nlast\n")
    assert missing == 1 or len(log) == whole
    assert len(log) <= whole + 100


def test_a_program_that_is_not_there_is_told_like_anywhere(hand: Hand) -> None:
    hand.shell("exec no-such-program")
    assert hand.exit().code == 127
    assert "no-such-program" in hand.output()


def test_a_working_directory_that_the_worker_has_not_is_told(hand: Hand) -> None:
    hand.cwd = hand.cwd / "nowhere"
    hand.shell("echo hello")
    end = hand.exit()
    assert end.code is None
    assert end.detail.startswith("cannot start: No such file or directory")


def test_stop_ends_all_of_a_job_that_hears_nothing_after_the_grace(hand: Hand) -> None:
    deaf = "trap '' TERM; while :; do sleep 0.05; done"
    hand.shell(f"setsid sh -c 'echo $$ >away; {deaf.replace(chr(39), chr(34))}' & echo $$ >leader; {deaf}")
    pids = [hand.pid("leader"), hand.pid("away")]
    until(lambda: (seen := hand.seen()) and not seen.elsewhere, "the job to be seen")
    hand.executor.stop(1, grace=0.5)
    hand.executor.stop(2, grace=0.5)
    end = hand.exit()
    assert (end.code, end.detail) == (None, "killed by signal 9")
    assert not any(lives(pid) for pid in pids)


def test_a_job_that_hears_sigterm_ends_by_itself(hand: Hand) -> None:
    hand.shell("trap 'echo heard; exit 4' TERM; echo $$ >leader; while :; do sleep 0.05; done")
    hand.pid("leader")
    hand.executor.stop(1, grace=30)
    assert hand.exit().code == 4
    assert hand.output().endswith("heard\n")


# ---- slots


def test_a_job_waits_for_the_resource_and_can_be_ended_before_it_begins(tmp_path: Path) -> None:
    with running(tmp_path / "dask", workers=0) as cluster:
        cluster.worker("--nthreads", "4", "--resources", "slot=1")
        cluster.ready(1)
        hand = hand_of(cluster, tmp_path, resource="slot")
        hand.shell(WAITS)
        hand.pid("leader")
        hand.shell("touch ran", attempt=2)
        hand.shell("touch ran-too; exit 5", attempt=3)
        remarks = {seen.attempt: seen.remark for seen in hand.executor.poll()}
        assert remarks[3] == "no worker that answers has begun it"
        hand.executor.stop(2, grace=30)
        end = hand.exit()
        assert (end.code, end.detail, end.tried) == (None, "lost: ended before it began", False)
        assert not (hand.cwd / "ran-too").exists()
        (hand.cwd / "end").touch()
        assert {hand.exit().code, hand.exit().code} == {7, 5}
        assert not (hand.cwd / "ran").exists()
        hand.executor.close()


# ---- a daemon that dies


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

    monkeypatch.setattr(Link, "release", dies)
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

    until(lambda: not hand.executor.obstacle, "a scheduler")
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


# ---- a cluster that dies


def test_a_worker_that_is_frozen_hides_its_job_until_it_thaws(hand: Hand, calm: Cluster) -> None:
    hand.shell(WAITS)
    hand.pid("leader")
    worker = calm.started[-1]
    worker.send_signal(signal.SIGSTOP)
    try:
        until(lambda: (seen := hand.seen()) and seen.elsewhere not in ("", calm.address), "out of sight")
        (hand.cwd / "end").touch()
    finally:
        worker.send_signal(signal.SIGCONT)
    assert (hand.exit().code, hand.output()) == (7, "begun\ndone\n")


def test_a_job_ends_with_its_worker_and_is_not_begun_again_by_another(shaken: Cluster, hurt: Hand) -> None:
    first = shaken.started[-1]
    hurt.shell(f"echo run >>runs; (setsid sleep 300 & echo $! >away); {WAITS}")
    pids = [hurt.pid("leader"), hurt.pid("away")]
    until(lambda: hurt.output() == "begun\n", "the first output")
    shaken.worker()
    shaken.ready(2)
    first.kill()
    end = hurt.exit()
    until(lambda: not any(lives(pid) for pid in pids), "the job's processes to end")
    assert (end.code, end.tried) == (None, True)
    assert end.detail.startswith("lost: its worker")
    assert end.detail.endswith("is gone")
    assert (hurt.cwd / "runs").read_text() == "run\n"
    # When another job comes, the other worker takes it
    hurt.shell("exit 9", attempt=2)
    assert hurt.exit().code == 9


@pytest.mark.parametrize("nanny", ["--nanny", "--no-nanny"])
def test_jobs_end_with_their_scheduler_and_are_lost_once_there_is_another(tmp_path: Path, nanny: str) -> None:
    with running(tmp_path / "dask", workers=0) as cluster:
        cluster.worker(nanny)
        cluster.ready(1)
        hand = hand_of(cluster, tmp_path)
        hand.shell(WAITS)
        leader = hand.pid("leader")
        until(lambda: (seen := hand.seen()) and not seen.elsewhere, "the job to be seen")
        cluster.started[0].kill()
        cluster.started[0].wait()
        until(lambda: (seen := hand.seen()) and seen.elsewhere == cluster.address, "out of sight")
        until(lambda: not lives(leader), "the job to end")
        cluster.scheduler()
        assert hand.exit().detail == "lost: the scheduler was restarted, and its workers ended their jobs"
        cluster.worker()
        hand.shell("exit 9", attempt=2)
        assert hand.exit().code == 9
        hand.executor.close()


@pytest.mark.parametrize("nanny", ["--nanny", "--no-nanny"])
def test_a_job_is_lost_when_its_worker_was_the_only_one(tmp_path: Path, nanny: str) -> None:
    with running(tmp_path / "dask", workers=0) as cluster:
        worker = cluster.worker(nanny)
        cluster.ready(1)
        hand = hand_of(cluster, tmp_path)
        hand.shell(WAITS)
        leader = hand.pid("leader")
        until(lambda: hand.output() == "begun\n", "the first output")
        worker.kill()
        assert hand.exit().detail == "lost: its worker is gone"
        until(lambda: not lives(leader), "the job to end")
        # And nothing of it waits for the next worker
        assert hand.executor.poll() == []
        until(lambda: cluster.kept() == [], "the cluster to forget")
        hand.executor.close()


def test_news_that_come_with_the_greeting_of_the_scheduler_hold_nobody_up(
    calm: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given errors that nobody foresaw hold the watch up for ever
    monkeypatch.setattr(worker, "FAULT_PAUSE_SECONDS", 3600)
    # When another client cancels a task while the daemon connects
    calm.disturb_a_greeting()
    hand = hand_of(calm, tmp_path)
    # Then it connects again
    until(lambda: not hand.executor.obstacle, "a scheduler")
    hand.shell("exit 5")
    assert hand.exit().code == 5
    hand.executor.close()


def test_without_a_scheduler_a_job_cannot_start_and_nothing_is_recorded(tmp_path: Path) -> None:
    hand = dask_hand(tmp_path / "attempts", tmp_path, address := free_address())
    assert hand.executor.obstacle == f"a Dask scheduler that answers at {address}"
    hand.launch("touch ran")
    assert hand.exit().detail == f"cannot start: no Dask scheduler answers at {address}"
    assert hand.handles == {}
    hand.executor.close()
