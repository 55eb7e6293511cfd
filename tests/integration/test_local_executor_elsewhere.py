"""The host is renamed, the state directory moved, the container replaced: a job that lives is never lost."""

import dataclasses
import fcntl
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from backfilld.daemon.executors.process_identity import Identity
from tests.integration.executor_driver import ExecutorDriver
from tests.integration.local_jobs import earlier_daemon, local_driver, recorded_handles
from tests.integration.real_jobs import lives, until

ELSEWHERE = "elsewhere:/srv/attempts"
ANOTHER_BOOT = {"boot": "another"}
ANOTHER_CONTAINER = {"namespace": "pid:[1]"}


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[ExecutorDriver]:
    driver = local_driver(tmp_path / "attempts", tmp_path)
    yield driver
    driver.stop_all()


@pytest.fixture
def leader(driver: ExecutorDriver) -> int:
    """A job whose daemon was killed, and whose escaped child clears its environment."""
    script = "setsid env -i sh -c 'echo $$ >child; exec sleep 300' & echo $$ >leader; sleep 300"
    with earlier_daemon(driver, script) as daemon:
        pid = driver.pid("leader")
        driver.pid("child")
        daemon.kill()
    return pid


def test_a_host_that_was_renamed_adopts_its_job_and_ends_it(
    driver: ExecutorDriver, leader: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "renamed")
    driver.restart().recover(recorded_handles(driver))
    (status,) = driver.executor.poll()
    assert (status.result, status.unreachable_at) == (None, "")
    driver.executor.stop(1, grace=0)
    driver.result()
    assert not lives(leader)
    assert not lives(driver.pid("child"))


def test_a_state_directory_that_was_moved_keeps_its_job_and_its_log(
    driver: ExecutorDriver, leader: int, tmp_path: Path
) -> None:
    driver.executor.close()
    shutil.move(tmp_path / "attempts", tmp_path / "moved")
    moved = local_driver(tmp_path / "moved", tmp_path)
    moved.executor.recover(recorded_handles(driver))
    (status,) = moved.executor.poll()
    assert (status.result, status.unreachable_at) == (None, "")
    moved.executor.stop(1, grace=0)
    moved.result()
    assert not lives(leader)
    assert not lives(driver.pid("child"))
    moved.stop_all()


def test_a_job_of_another_directory_belongs_to_the_executor_there_while_there_is_one(
    driver: ExecutorDriver, leader: int, tmp_path: Path
) -> None:
    second = local_driver(tmp_path / "second", tmp_path)
    second.executor.recover(recorded_handles(driver))
    (status,) = second.executor.poll()
    assert (status.result, status.unreachable_at) == (None, Identity.parse(handle(driver)).executor)
    second.executor.stop(1, 0.0)
    assert lives(leader)
    # When that executor is gone, the other one adopts the job and reads its exit code
    driver.executor.close()
    second.executor.recover(recorded_handles(driver))
    second.executor.stop(1, grace=600)
    assert second.result().code == 143
    assert not lives(leader)
    second.stop_all()


@pytest.mark.parametrize("change", [ANOTHER_BOOT, ANOTHER_CONTAINER])
def test_a_job_that_keeps_its_log_locked_is_out_of_reach_and_never_touched(
    driver: ExecutorDriver, leader: int, change: dict[str, str]
) -> None:
    there = dataclasses.replace(Identity.parse(handle(driver)), executor=ELSEWHERE, **change)
    driver.executor.recover({1: there.text()})
    (status,) = driver.executor.poll()
    assert (status.result, status.unreachable_at) == (None, ELSEWHERE)
    driver.executor.stop(1, 0.0)
    assert driver.executor.poll() == []
    assert lives(leader)
    # Once the daemon is where the job is, it adopts the job
    driver.executor.recover({1: handle(driver)})
    driver.executor.stop(1, 0.0)
    driver.result()
    assert not lives(leader)


@pytest.mark.parametrize("change", [ANOTHER_BOOT, ANOTHER_CONTAINER])
def test_a_job_whose_log_is_unlocked_ended_with_its_container(
    driver: ExecutorDriver, leader: int, change: dict[str, str]
) -> None:
    there = dataclasses.replace(Identity.parse(handle(driver)), executor=ELSEWHERE, **change)
    os.kill(driver.pid("child"), 9)
    os.killpg(os.getpgid(leader), 9)
    until(lambda: is_unlocked(driver.log_file()))
    driver.executor.recover({1: there.text()})
    assert driver.result().detail == "lost: its machine or container was stopped"


def is_unlocked(path: Path) -> bool:
    """Whether the last process that had the file locked has ended."""
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def test_a_copy_of_the_state_directory_proves_nothing_about_the_job(
    driver: ExecutorDriver, leader: int, tmp_path: Path
) -> None:
    shutil.copytree(tmp_path / "attempts", tmp_path / "copy")
    copy = local_driver(tmp_path / "copy", tmp_path)
    there = dataclasses.replace(Identity.parse(handle(driver)), executor=ELSEWHERE, boot="another")
    copy.executor.recover({1: there.text()})
    (status,) = copy.executor.poll()
    assert (status.result, status.unreachable_at) == (None, ELSEWHERE)
    copy.executor.close()
    driver.executor.recover({1: handle(driver)})
    driver.executor.stop(1, 0.0)
    driver.result()


def handle(driver: ExecutorDriver) -> str:
    text = recorded_handles(driver)[1]
    assert text is not None
    return text
