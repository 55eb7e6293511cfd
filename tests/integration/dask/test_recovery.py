"""A daemon that dies leaves its jobs to the Dask cluster, and the next one finds them there."""

import json
from pathlib import Path

import pytest

from backfilld.daemon.executors.adapter import Job
from backfilld.daemon.executors.dask.client import DaskClient
from tests.integration.dask_cluster import WAITS, Cluster, dask_driver
from tests.integration.executor_driver import ExecutorDriver
from tests.integration.real_jobs import lives, until


def test_a_running_job_is_adopted_with_its_output_and_its_end(driver: ExecutorDriver) -> None:
    driver.shell(WAITS)
    leader = driver.pid("leader")
    driver.executor.close()
    assert lives(leader)
    driver.restart().recover(driver.handles)
    until(lambda: (status := driver.status()) and not status.unreachable_at, "the job to be seen")
    (driver.cwd / "end").touch()
    assert driver.result().code == 7
    assert driver.output() == "begun\ndone\n"


def test_the_end_of_a_job_that_ended_in_between_is_kept_by_the_cluster(driver: ExecutorDriver) -> None:
    driver.shell(WAITS)
    leader = driver.pid("leader")
    driver.executor.close()
    (driver.cwd / "end").touch()
    until(lambda: not lives(leader), "the job to end")
    driver.restart().recover(driver.handles)
    assert driver.result().code == 7
    assert driver.output() == "begun\ndone\n"


def test_an_end_that_was_reported_and_not_closed_is_found_again(driver: ExecutorDriver) -> None:
    driver.shell("exit 6")
    first = driver.result()
    assert driver.executor.poll() == []
    driver.executor.recover(driver.handles)
    assert driver.result() == first
    driver.executor.close()
    driver.restart().recover(driver.handles)
    assert driver.result() == first


def test_a_job_that_was_recorded_and_never_submitted_never_began(driver: ExecutorDriver) -> None:
    driver.shell("exit 0")
    driver.result()
    ghost = json.dumps(json.loads(driver.handles[1]) | {"key": "backfilld-2-unknown"})
    driver.executor.recover({2: ghost, 3: None})
    for _ in range(2):
        end = driver.result()
        assert (end.code, end.detail, end.counts_as_attempt) == (None, "lost: never started", False)


def test_a_job_whose_permission_never_came_is_held_and_can_be_ended(
    driver: ExecutorDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The daemon dies between handing over and letting go."""

    def dies(*_: object) -> None:
        raise ConnectionError

    monkeypatch.setattr(DaskClient, "release", dies)
    driver.shell("touch ran")
    driver.executor.close()
    monkeypatch.undo()
    driver.restart().recover(driver.handles)
    until(lambda: (status := driver.status()) and not status.unreachable_at, "the job to be seen")
    driver.executor.stop(1, grace=0)
    assert (driver.result().counts_as_attempt, (driver.cwd / "ran").exists()) == (False, False)


def test_a_job_that_cannot_be_recorded_never_begins(driver: ExecutorDriver, calm: Cluster) -> None:
    class Full(Exception):
        pass

    def fails(_: object) -> None:
        raise Full

    until(lambda: not driver.executor.unavailable_reason, "a scheduler")
    with pytest.raises(Full):
        driver.executor.launch([Job(attempt=77, argv=("touch", "ran"), cwd=driver.cwd)], fails)
    assert driver.executor.poll() == []
    until(lambda: not any(key.startswith("backfilld-77-") for key in calm.kept()), "the cluster to forget")
    assert not (driver.cwd / "ran").exists()


def test_what_was_left_of_an_older_attempt_of_that_number_counts_for_nothing(driver: ExecutorDriver) -> None:
    driver.shell("echo old; exit 1")
    driver.result()
    driver.shell("echo new; exit 0")
    assert driver.result().code == 0
    assert driver.output() == "new\n"


def test_two_daemons_see_the_same_end(driver: ExecutorDriver, calm: Cluster, tmp_path: Path) -> None:
    driver.shell(WAITS)
    driver.pid("leader")
    other = dask_driver(tmp_path / "standby", driver.cwd, calm.address)
    other.executor.recover(driver.handles)
    until(lambda: (status := other.status()) and not status.unreachable_at, "the other to see it")
    (driver.cwd / "end").touch()
    assert other.result() == driver.result()
    assert other.output() == driver.output() == "begun\ndone\n"
    other.executor.close()


def test_a_handle_that_is_none_is_lost(driver: ExecutorDriver) -> None:
    driver.executor.recover({1: "not json"})
    assert driver.result().detail == "lost: not a handle of a Dask job: 'not json'"
