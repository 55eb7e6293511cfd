"""A daemon that dies leaves its jobs to the Dask cluster, and the next one finds them there."""

from pathlib import Path

import pytest

from backfilld.daemon import wakeable_task_thread
from backfilld.daemon.executors.dask.client import DaskClient
from tests.integration.dask_cluster import WAITS, Cluster, dask_driver, free_address
from tests.integration.executor_driver import ExecutorDriver
from tests.integration.real_jobs import changed, until


def test_a_job_whose_permission_never_came_is_held_and_can_be_ended(
    driver: ExecutorDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The daemon dies between handing over and letting go."""

    def dies(*_: object) -> None:
        raise ConnectionError

    monkeypatch.setattr(DaskClient, "start", dies)
    driver.shell("touch ran")
    until(lambda: driver.handles, "the record")
    driver.executor.close()
    monkeypatch.undo()
    driver.restart().recover(driver.handles)
    until(lambda: (status := driver.status()) and not status.unreachable_at, "the job to be seen")
    driver.executor.stop(1, grace=0)
    assert (driver.result().counts_as_attempt, (driver.cwd / "ran").exists()) == (False, False)


def test_the_cluster_forgets_a_job_that_cannot_be_recorded(
    driver: ExecutorDriver, calm: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wakeable_task_thread, "FAULT_PAUSE_SECONDS", 0.05)

    def fails(_: object) -> None:
        raise RuntimeError("the disk is full")

    until(lambda: not driver.executor.unavailable_reason, "a scheduler")
    driver.executor.launch([driver.job("touch", "ran", attempt=77)], fails)
    end = driver.result()
    assert (end.detail, end.counts_as_attempt) == ("lost: its handle could not be recorded", False)
    until(lambda: not any(key.startswith("backfilld-77-") for key in calm.kept()), "the cluster to forget")
    assert not (driver.cwd / "ran").exists()


def test_two_daemons_see_the_same_end(driver: ExecutorDriver, calm: Cluster, tmp_path: Path) -> None:
    driver.shell(WAITS)
    driver.pid("leader")
    with dask_driver(tmp_path / "standby", driver.cwd, calm.address) as other:
        other.executor.recover(driver.handles)
        until(lambda: (status := other.status()) and not status.unreachable_at, "the other to see it")
        (driver.cwd / "end").touch()
        assert other.result() == driver.result()
        assert other.output() == driver.output() == "begun\ndone\n"


def test_a_job_is_recognized_by_its_scheduler_under_whatever_address(
    driver: ExecutorDriver, tmp_path: Path
) -> None:
    driver.shell(WAITS)
    driver.pid("leader")
    elsewhere = changed(driver.handles[1], address="tcp://other-name:8786")
    assert driver.executor.recognizes(elsewhere)  # the same scheduler process
    with dask_driver(tmp_path / "other", driver.cwd, free_address()) as other:
        assert not other.executor.recognizes(driver.handles[1])
    (driver.cwd / "end").touch()
    driver.result()
