"""Jobs on a real Dask cluster: begin once, tell how they ended and what they wrote, wait for their slot."""

import json
import time
from pathlib import Path

from tests.integration.dask_cluster import WAITS, Cluster, driver_of, running
from tests.integration.executor_driver import ExecutorDriver
from tests.integration.real_jobs import lives, until


def test_a_job_tells_how_it_ended_and_what_it_wrote(driver: ExecutorDriver, calm: Cluster) -> None:
    driver.shell("echo out; echo err >&2; echo $GIVEN $BACKFILLD_ATTEMPT; exit 3")
    began = time.time()
    end = driver.result()
    assert (end.code, end.detail, end.counts_as_attempt) == (3, "", True)
    assert began - 30 < end.ended_at <= time.time()
    assert end.cpu_seconds is not None
    assert driver.output() == "out\nerr\nto the job 1\n"
    # When the executor is asked again, the end is noted, and the cluster keeps nothing
    assert driver.executor.poll() == []
    key = json.loads(driver.handles[1])["key"]
    until(lambda: not any(key in kept for kept in calm.kept()), "the cluster to forget")


def test_of_more_output_than_is_copied_in_time_the_log_says_how_much_is_missing(
    driver: ExecutorDriver,
) -> None:
    driver.shell("head -c 3000000 /dev/zero | tr '\\0' x; echo; echo last")
    assert driver.result().code == 0
    log = driver.output()
    whole, missing = 3000006, log.count("bytes of output were not copied")
    assert log.endswith("x\nlast\n")
    assert missing == 1 or len(log) == whole
    assert len(log) <= whole + 100


def test_a_program_that_is_not_there_is_told_like_anywhere(driver: ExecutorDriver) -> None:
    driver.shell("exec no-such-program")
    assert driver.result().code == 127
    assert "no-such-program" in driver.output()


def test_a_working_directory_that_the_worker_has_not_is_told(driver: ExecutorDriver) -> None:
    driver.cwd = driver.cwd / "nowhere"
    driver.shell("echo hello")
    end = driver.result()
    assert end.code is None
    assert end.detail.startswith("cannot start: No such file or directory")


def test_stop_ends_all_of_a_job_that_hears_nothing_after_the_grace(driver: ExecutorDriver) -> None:
    deaf = "trap '' TERM; while :; do sleep 0.05; done"
    driver.shell(f"setsid sh -c 'echo $$ >away; {deaf.replace(chr(39), chr(34))}' & echo $$ >leader; {deaf}")
    pids = [driver.pid("leader"), driver.pid("away")]
    until(lambda: (status := driver.status()) and not status.unreachable_at, "the job to be seen")
    driver.executor.stop(1, grace=0.5)
    driver.executor.stop(2, grace=0.5)
    end = driver.result()
    assert (end.code, end.detail) == (None, "killed by signal 9")
    assert not any(lives(pid) for pid in pids)


# ---- slots


def test_a_job_waits_for_the_resource_and_can_be_ended_before_it_begins(tmp_path: Path) -> None:
    with running(tmp_path / "dask", workers=0) as cluster:
        cluster.worker("--nthreads", "4", "--resources", "slot=1")
        cluster.ready(1)
        driver = driver_of(cluster, tmp_path, slot=1)
        driver.shell(WAITS)
        driver.pid("leader")
        driver.shell("touch ran", attempt=2)
        driver.shell("touch ran-too; exit 5", attempt=3)
        waits = "no worker that answers has begun it"
        until(lambda: {s.attempt: s.status_message for s in driver.executor.poll()}[3] == waits, waits)
        driver.executor.stop(2, grace=30)
        end = driver.result()
        assert (end.code, end.detail, end.counts_as_attempt) == (None, "lost: ended before it began", False)
        assert not (driver.cwd / "ran-too").exists()
        (driver.cwd / "end").touch()
        assert {driver.result().code, driver.result().code} == {7, 5}
        assert not (driver.cwd / "ran").exists()
