"""Workers of another environment, which cannot import the package: no job harms them, and all say so."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from backfilld.daemon.executors.dask.preflight import check_cluster
from backfilld.daemon.executors.dask.settings import DaskSettings
from tests.integration.dask_cluster import Cluster, driver_of, free_address, running
from tests.integration.executor_driver import ExecutorDriver
from tests.integration.real_jobs import until

REFUSES = """
import sys


class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "backfilld":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, Refuse())
"""


@pytest.fixture
def foreign(tmp_path: Path) -> Iterator[Cluster]:
    """A cluster without the package, as it serves other programs too."""
    (tmp_path / "sitecustomize.py").write_text(REFUSES)
    with running(tmp_path / "dask", env={"PYTHONPATH": str(tmp_path)}) as cluster:
        yield cluster


def test_a_worker_without_the_package_lives_on_and_jobs_wait_for_another(
    foreign: Cluster, tmp_path: Path
) -> None:
    driver = driver_of(foreign, tmp_path)
    until(lambda: "that can import backfilld" in driver.executor.unavailable_reason, "the reason")
    assert "No module named 'backfilld'" in driver.executor.unavailable_reason
    # When a job comes all the same, while the worker does other work
    with foreign.client() as client:
        other = client.submit(time.sleep, 2)
        driver.launch("touch", "ran")
        # Then the job never begins, which is no attempt, and the other work ends well
        end = driver.result()
        assert not end.counts_as_attempt
        assert not end.began
        assert end.detail.startswith("lost: no Dask worker can import backfilld (")
        assert other.result() is None
    assert [process.poll() for process in foreign.started] == [None, None]
    # And preflight sees it
    (found,) = check_cluster("dask", DaskSettings(scheduler=foreign.address))
    assert (found.status, found.hint) == ("fail", "install it there")
    # When a worker comes that has it, jobs run there, however often
    foreign.env = {}
    foreign.worker()
    until(lambda: not driver.executor.unavailable_reason, "a worker that can")
    for attempt in (2, 3, 4):
        driver.launch("sh", "-c", f"exit {attempt}", attempt=attempt)
        assert driver.result().code == attempt
    found_by_status = {
        one.status.value for one in check_cluster("dask", DaskSettings(scheduler=foreign.address))
    }
    assert found_by_status == {"fail", "pass"}


def knows_both(driver: ExecutorDriver) -> bool:
    """Whether the executor knows a worker that can run jobs, and one that cannot."""
    client = driver.executor._client  # type: ignore[attr-defined]
    return client is not None and bool(client.able_workers and client.unable_workers)


def test_a_job_whose_able_workers_restart_under_new_addresses_is_given_back_and_begins_there(
    foreign: Cluster, tmp_path: Path
) -> None:
    # Given a job that waits for the one worker that has the package, beside one that has not
    foreign.env = {}
    able = foreign.worker("--resources", "slot=1")
    foreign.ready(2)
    driver = driver_of(foreign, tmp_path, slot=2)
    until(lambda: knows_both(driver), "the one worker and the other")
    driver.launch("sh", "-c", "exit 5")
    until(
        lambda: (status := driver.status()) and status.status_message.startswith("no worker that answers"),
        "the submitted job",
    )
    # When that worker restarts, at another address
    able.kill()
    able.wait()
    foreign.worker("--resources", "slot=2")
    # Then the job is given back, which is no attempt, and runs once it is launched again
    end = driver.result()
    assert end.detail == "lost: the workers that it was submitted to are gone"
    assert not end.counts_as_attempt
    until(lambda: knows_both(driver), "the new worker")
    driver.launch("sh", "-c", "exit 5", attempt=2)
    assert driver.result().code == 5


def test_a_job_that_reaches_a_worker_without_the_package_harms_nothing(
    foreign: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a worker comes between the probe and the job."""
    driver = driver_of(foreign, tmp_path)
    monkeypatch.setattr("backfilld.daemon.executors.dask.client.DaskClient.probe_workers", lambda _: "")
    until(lambda: not driver.executor.unavailable_reason, "a scheduler")
    driver.launch("touch", "ran")
    end = driver.result()
    assert not end.counts_as_attempt
    assert "its worker cannot import backfilld (No module named 'backfilld'): install it there" in end.detail
    assert [process.poll() for process in foreign.started] == [None, None]


def test_preflight_without_a_scheduler_or_without_a_worker_is_not_ready(tmp_path: Path) -> None:
    (away,) = check_cluster("dask", DaskSettings(scheduler=(address := free_address())))
    assert away.status == "fail"
    assert away.line.startswith(f"no Dask scheduler answers at {address}")
    assert away.hint == "start it, or correct scheduler in [executor.dask]"
    with running(tmp_path / "dask", workers=0) as cluster:
        cluster.client().disconnect()
        (idle,) = check_cluster("dask", DaskSettings(scheduler=cluster.address))
    assert (idle.status, idle.hint) == ("warn", "start one: jobs wait for it")
