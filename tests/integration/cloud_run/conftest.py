"""A stand-in of Cloud Run, and an executor that asks it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from backfilld.daemon.executors.cloud_run import executor
from tests.integration.cloud_run.client_driver import driver_of
from tests.integration.cloud_run.stub import CloudRunStub, serving
from tests.integration.executor_driver import ExecutorDriver


@pytest.fixture
def api(tmp_path: Path) -> Iterator[CloudRunStub]:
    cwd = tmp_path / "cwd"
    cwd.mkdir()
    with serving(cwd, "team") as stub:
        yield stub


@pytest.fixture
def driver(api: CloudRunStub, tmp_path: Path) -> Iterator[ExecutorDriver]:
    driver = driver_of(api, tmp_path / "attempts")
    yield driver
    driver.executor.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be found is given up soon."""
    monkeypatch.setattr(executor, "SEARCH_SECONDS", 0.15)
