"""The Dask executor passes the suite of executors, on a real cluster."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.executors.suite import ExecutorConformance, Rig
from tests.integration.dask_cluster import Cluster, driver_of, running
from tests.integration.real_jobs import changed


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running(tmp_path_factory.mktemp("dask")) as cluster:
        yield cluster


class TestDask(ExecutorConformance):
    @pytest.fixture
    def rig(self, cluster: Cluster, tmp_path: Path) -> Iterator[Rig]:
        driver = driver_of(cluster, tmp_path)
        yield Rig(driver=driver, never_started=lambda handle: changed(handle, key="backfilld-2-unknown"))
        driver.executor.close()
