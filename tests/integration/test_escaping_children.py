"""An attempt is over when its processes are: whatever a child does to get away, it is ended with its job."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.escapes import ESCAPES, STAYS, script
from tests.integration.executor_driver import ExecutorDriver
from tests.integration.local_jobs import local_driver
from tests.integration.real_jobs import lives, until


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[ExecutorDriver]:
    driver = local_driver(tmp_path / "attempts", tmp_path)
    yield driver
    driver.stop_all()


@pytest.mark.parametrize("escape", ESCAPES)
def test_a_child_that_escapes_is_ended_with_a_job_that_is_stopped(
    driver: ExecutorDriver, escape: str
) -> None:
    driver.shell(f"{script(escape)} sleep 300")
    child = driver.pid("child")
    assert lives(child)
    driver.executor.stop(1, grace=0)
    driver.result()
    assert not lives(child)


@pytest.mark.parametrize("escape", ESCAPES)
def test_a_child_that_escapes_is_ended_with_a_job_that_ends(driver: ExecutorDriver, escape: str) -> None:
    driver.shell(f"{script(escape)} until test -e child; do sleep 0.01; done; exit 3")
    assert driver.result().code == 3
    assert not lives(driver.pid("child"))


def test_a_child_without_any_mark_is_found_by_its_parent(driver: ExecutorDriver) -> None:
    unmarked = (
        "import os, resource; resource.setrlimit(resource.RLIMIT_RTTIME, (10**9, 10**9)); os.setsid();"
        'os.execvpe("sh", ["sh", "-c", os.environ["STAYS"]], {"D": os.environ["D"], "PATH": os.defpath})'
    )
    driver.shell(f"D=$PWD; export D; {sys.executable} -c '{unmarked}' & sleep 300", env={"STAYS": STAYS})
    child = driver.pid("child")
    driver.executor.stop(1, grace=0)
    driver.result()
    assert not lives(child)


def test_a_process_of_another_attempt_is_not_taken_for_an_escaped_child(driver: ExecutorDriver) -> None:
    driver.shell(f"{script('another session and no environment')} sleep 300", attempt=2)
    child = driver.pid("child")
    driver.shell("sleep 300", attempt=1)
    driver.executor.stop(1, grace=0)
    driver.result()
    assert lives(child)


def test_a_job_has_the_limit_of_open_files_that_the_daemon_began_with(driver: ExecutorDriver) -> None:
    driver.shell("ulimit -Sn")
    driver.result()
    assert driver.output() == f"{os.sysconf('SC_OPEN_MAX')}\n"
    until(lambda: driver.executor.poll() == [])
