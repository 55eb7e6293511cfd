"""What becomes of jobs when the Dask cluster, or a part of it, dies or is away."""

import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from distributed import Client, Worker

from backfilld.daemon import wakeable_task_thread
from backfilld.state.formatting import format_utc
from tests.integration.dask_cluster import WAITS, Cluster, dask_driver, driver_of, free_address, running
from tests.integration.executor_driver import ExecutorDriver
from tests.integration.real_jobs import lives, until


@pytest.fixture
def shaken(tmp_path: Path) -> Iterator[Cluster]:
    """A cluster of this test's own, to be hurt."""
    with running(tmp_path / "dask") as cluster:
        yield cluster


@pytest.fixture
def hurt(shaken: Cluster, tmp_path: Path) -> Iterator[ExecutorDriver]:
    driver = driver_of(shaken, tmp_path)
    yield driver
    driver.executor.close()


def test_a_worker_that_is_frozen_hides_its_job_until_it_thaws(driver: ExecutorDriver, calm: Cluster) -> None:
    driver.shell(WAITS)
    # Given a job that was seen at its worker: of one that never was, nothing can be hidden
    until(lambda: driver.output() == "begun\n", "the first output")
    worker = calm.started[-1]
    worker.send_signal(signal.SIGSTOP)
    try:
        until(
            lambda: (status := driver.status()) and status.unreachable_at not in ("", calm.address),
            "out of sight",
        )
        (driver.cwd / "end").touch()
    finally:
        worker.send_signal(signal.SIGCONT)
    assert (driver.result().code, driver.output()) == (7, "begun\ndone\n")


def test_a_job_ends_with_its_worker_and_is_not_begun_again_by_another(
    shaken: Cluster, hurt: ExecutorDriver
) -> None:
    first = shaken.started[-1]
    hurt.shell(f"echo run >>runs; (setsid sleep 300 & echo $! >away); {WAITS}")
    pids = [hurt.pid("leader"), hurt.pid("away")]
    until(lambda: hurt.output() == "begun\n", "the first output")
    shaken.worker()
    shaken.ready(2)
    first.kill()
    end = hurt.result()
    until(lambda: not any(lives(pid) for pid in pids), "the job's processes to end")
    assert (end.code, end.counts_as_attempt) == (None, True)
    assert end.detail.startswith("lost: its worker")
    assert end.detail.endswith("is gone")
    assert (hurt.cwd / "runs").read_text() == "run\n"
    # When another job comes, the other worker takes it
    hurt.shell("exit 9", attempt=2)
    assert hurt.result().code == 9


@pytest.mark.parametrize("nanny", ["--nanny", "--no-nanny"])
def test_jobs_end_with_their_scheduler_and_are_lost_once_there_is_another(tmp_path: Path, nanny: str) -> None:
    with running(tmp_path / "dask", workers=0) as cluster:
        cluster.worker(nanny)
        cluster.ready(1)
        driver = driver_of(cluster, tmp_path)
        driver.shell(WAITS)
        leader = driver.pid("leader")
        until(lambda: (status := driver.status()) and not status.unreachable_at, "the job to be seen")
        cluster.started[0].kill()
        cluster.started[0].wait()
        until(
            lambda: (status := driver.status()) and status.unreachable_at == cluster.address, "out of sight"
        )
        until(lambda: not lives(leader), "the job to end")
        cluster.scheduler()
        assert driver.result().detail == "lost: the scheduler was restarted, and its workers ended their jobs"
        cluster.worker()
        driver.shell("exit 9", attempt=2)
        assert driver.result().code == 9


@pytest.mark.parametrize("nanny", ["--nanny", "--no-nanny"])
def test_a_job_is_lost_when_its_worker_was_the_only_one(tmp_path: Path, nanny: str) -> None:
    with running(tmp_path / "dask", workers=0) as cluster:
        worker = cluster.worker(nanny)
        cluster.ready(1)
        driver = driver_of(cluster, tmp_path)
        driver.shell(WAITS)
        leader = driver.pid("leader")
        until(lambda: driver.output() == "begun\n", "the first output")
        worker.kill()
        assert driver.result().detail == "lost: its worker is gone"
        until(lambda: not lives(leader), "the job to end")
        # And nothing of it waits for the next worker
        assert driver.executor.poll() == []
        until(lambda: cluster.kept() == [], "the cluster to forget")


def test_news_that_come_with_the_greeting_of_the_scheduler_hold_nobody_up(
    calm: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given errors that nobody foresaw hold the watch up for ever
    monkeypatch.setattr(wakeable_task_thread, "FAULT_PAUSE_SECONDS", 3600)
    # When another client cancels a task while the daemon connects
    calm.disturb_a_greeting()
    driver = driver_of(calm, tmp_path)
    # Then it connects again
    until(lambda: not driver.executor.unavailable_reason, "a scheduler")
    driver.shell("exit 5")
    assert driver.result().code == 5
    driver.executor.close()


def test_without_a_scheduler_a_job_cannot_start_and_nothing_is_recorded(tmp_path: Path) -> None:
    with dask_driver(tmp_path / "attempts", tmp_path, address := free_address()) as driver:
        reason = driver.executor.unavailable_reason
        assert reason.startswith(f"a Dask scheduler that answers at {address}; none has since 20")
        driver.launch("touch ran")
        end = driver.result()
        assert end.detail == f"lost: no Dask scheduler answers at {address}"
        assert re.search(r"; none has since \S+ \(.+\)$", driver.executor.unavailable_reason)
        assert not end.counts_as_attempt
        assert driver.handles == {}


def test_a_frozen_scheduler_does_not_block_a_launch(shaken: Cluster, hurt: ExecutorDriver) -> None:
    until(lambda: not hurt.executor.unavailable_reason, "a scheduler")
    scheduler = shaken.started[0]
    scheduler.send_signal(signal.SIGSTOP)
    try:
        # When a job is launched, nothing waits for the scheduler, and the attempt says what it waits for
        hurt.launch("sh", "-c", "exit 5")
        status = hurt.status()
        assert status is not None
        assert status.status_message == "waits to be submitted to the scheduler"
        assert hurt.handles == {}
    finally:
        scheduler.send_signal(signal.SIGCONT)
    assert hurt.result().code == 5


def test_a_scheduler_that_is_gone_is_named_with_the_time_since_when(tmp_path: Path) -> None:
    with running(tmp_path / "dask", workers=0) as cluster:
        driver = driver_of(cluster, tmp_path)
        until(lambda: not driver.executor.unavailable_reason, "a scheduler")
        before = time.time()
        cluster.end()
        until(lambda: driver.executor.unavailable_reason, "its loss")
        since = driver.executor.unavailable_reason.rpartition(" since ")[2].partition(" ")[0]
        assert format_utc(before) <= since <= format_utc(time.time())


def retire(client: Client, address: str) -> None:
    """What an adaptive cluster does with a worker that it needs no more."""
    client.retire_workers(workers=[address])


def reach_lifetime(client: Client, address: str) -> None:
    """What the timer of --lifetime does in a worker."""

    def close(dask_worker: Worker) -> None:
        dask_worker.loop.add_callback(dask_worker.close_gracefully, reason="worker-lifetime-reached")

    client.run(close, workers=[address])


@pytest.mark.parametrize(
    ("leave", "others"),
    [(reach_lifetime, 0), (retire, 1)],
    ids=["its lifetime is over", "one of two is retired"],
)
def test_a_job_on_a_worker_that_leaves_in_order_is_preempted_and_does_not_count(
    shaken: Cluster,
    hurt: ExecutorDriver,
    leave: Callable[[Client, str], None],
    others: int,  # one of them takes the task at once, and refuses it
) -> None:
    # Given a job that needs some of its grace period, and a child of it that ignores SIGTERM
    ends = "trap 'sleep 0.3; echo cleaned; exit 0' TERM"
    hurt.shell(f"(trap '' TERM; exec sleep 300) & echo $! >child; {ends}; {WAITS}", grace_period=1.0)
    pids = [hurt.pid("leader"), hurt.pid("child")]
    until(lambda: hurt.output() == "begun\n", "the job to be seen")
    with shaken.client() as client:
        (address,) = client.nthreads()
        for _ in range(others):
            shaken.worker()
        client.wait_for_workers(1 + others)
        leave(client, address)
    end = hurt.result()
    assert (end.detail, end.began) == (f"preempted: its worker {address} was retired", True)
    assert not end.counts_as_attempt
    # Then it has ended and cleaned up, and all of it had ended before it was reported
    assert not [pid for pid in pids if lives(pid)]
    assert hurt.output().endswith("cleaned\n")
