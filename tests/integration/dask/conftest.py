"""A Dask cluster, and an executor that hands jobs to it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.dask_cluster import Cluster, driver_of, running
from tests.integration.executor_driver import ExecutorDriver


@pytest.fixture(scope="package")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster that nothing happens to. It ends with this folder: an idle one takes 4 % of a core."""
    with running(tmp_path_factory.mktemp("dask")) as cluster:
        yield cluster


@pytest.fixture
def driver(calm: Cluster, tmp_path: Path) -> Iterator[ExecutorDriver]:
    driver = driver_of(calm, tmp_path)
    yield driver
    driver.executor.close()
    (tmp_path / "cwd" / "end").touch()  # a job that a failed test left would keep a thread of the worker
