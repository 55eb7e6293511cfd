"""Jobs on a real Dask cluster: begin once, tell how they ended and what they wrote, wait for their slot."""

import json
import time
from pathlib import Path

from tests.integration.dask_cluster import WAITS, Cluster, hand_of, running
from tests.integration.executor_driver import Hand
from tests.integration.real_jobs import lives, until


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
        status_messages = {seen.attempt: seen.status_message for seen in hand.executor.poll()}
        assert status_messages[3] == "no worker that answers has begun it"
        hand.executor.stop(2, grace=30)
        end = hand.exit()
        assert (end.code, end.detail, end.tried) == (None, "lost: ended before it began", False)
        assert not (hand.cwd / "ran-too").exists()
        (hand.cwd / "end").touch()
        assert {hand.exit().code, hand.exit().code} == {7, 5}
        assert not (hand.cwd / "ran").exists()
        hand.executor.close()
