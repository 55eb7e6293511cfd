"""The thread that asks Dask: what one job or this machine lacks keeps no other from being seen."""

import os
from pathlib import Path

import pytest

from backfilld.daemon import wakeable_task_thread
from backfilld.daemon.executors import attempt_files
from backfilld.daemon.executors.adapter import JobResult
from backfilld.daemon.executors.dask import client
from backfilld.daemon.executors.dask.client import DaskClient
from backfilld.daemon.executors.dask.worker import is_retired
from tests.integration.dask_cluster import WAITS, dask_driver, free_address
from tests.integration.executor_driver import ExecutorDriver
from tests.integration.real_jobs import lives, until


def test_the_watch_goes_on_after_an_error_that_nobody_foresaw(
    driver: ExecutorDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a job that runs
    driver.shell(WAITS)
    until(lambda: driver.output() == "begun\n", "the first output")
    monkeypatch.setattr(wakeable_task_thread, "FAULT_PAUSE_SECONDS", 0.05)
    # When looking at it fails in a way of its own
    with monkeypatch.context() as odd:
        odd.setattr(DaskClient, "poll_workers", lambda *_: {}["odd"])
        told = "polling Dask fails: KeyError: 'odd'"
        until(lambda: (status := driver.status()) is not None and status.status_message == told, told)
    # Then it is seen to its end nonetheless
    (driver.cwd / "end").touch()
    assert driver.result().code == 7


def full_disk(path: str, flags: int) -> int:
    """An opener of files on a disk that is full."""
    del path, flags
    return os.open("/dev/full", os.O_WRONLY)


def test_a_full_disk_of_the_daemon_hides_no_job_and_keeps_its_end(
    driver: ExecutorDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    links = []
    poll_workers = DaskClient.poll_workers

    def noted(link: DaskClient, written: object, stops: object, known: object) -> object:
        links.append(link)
        return poll_workers(link, written, stops, known)  # type: ignore[arg-type]

    monkeypatch.setattr(DaskClient, "poll_workers", noted)
    # Given a job that writes, and room neither for its output nor for its end
    driver.shell(f"(while sleep 0.1; do echo more; done) & {WAITS}")
    driver.pid("leader")
    with monkeypatch.context() as disk:
        disk.setattr(attempt_files, "private_opener", full_disk)
        # When it is polled, it is seen, over one connection
        before = len(links)
        until(lambda: len(links) > before + 2, "some polls")
        status = driver.status()
        assert status is not None
        assert (status.unreachable_at, driver.executor.unavailable_reason, len(set(links))) == ("", "", 1)
        # When it has ended, its end waits for room
        (driver.cwd / "end").touch()
        why = "its result cannot be saved: No space left on device"
        until(
            lambda: (
                (status := driver.status()) and (status.status_message, status.unreachable_at) == (why, "")
            ),
            why,
        )
    assert driver.result().code == 7


def test_an_end_that_another_version_tells_holds_up_nobody(
    driver: ExecutorDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Older(JobResult):
        """As a daemon has it that knows less."""

        def __init__(self, *, code: int | None, ended_at: float, detail: str = "") -> None:
            super().__init__(code=code, ended_at=ended_at, detail=detail)

    monkeypatch.setattr(client, "JobResult", Older)
    driver.shell("true")
    driver.shell(WAITS, attempt=2)
    driver.pid("leader")
    told = driver.result().detail
    assert told.startswith("lost: its worker has another version of backfilld: ")
    assert told.endswith("unexpected keyword argument 'max_rss_bytes'")
    # When the other is to be ended, it hears of it
    driver.executor.stop(2, grace=0)
    until(lambda: not lives(driver.pid("leader")), "the other's end")


@pytest.mark.parametrize(
    "note", ["", "[]", "{}", '{"key": "k", "exit": {"code": 0, "of": "another version"}}']
)
def test_a_note_of_an_end_that_cannot_be_read_keeps_no_daemon_from_its_start(
    tmp_path: Path, note: str
) -> None:
    with dask_driver(tmp_path, tmp_path, address := free_address()) as driver:
        log = driver.log_file(1)
        log.parent.mkdir()
        log.with_suffix(".exit").write_text(note)
        driver.executor.recover({1: '{"key": "k", "scheduler": "s"}'})
        (status,) = driver.executor.poll()
        assert (status.result, status.unreachable_at) == (None, address)


STATUS = "worker-status-change"
ADDED = {"action": "add-worker"}
STARTED = {"action": STATUS, "prev-status": "init", "status": "running"}
RETIRING = {"action": STATUS, "prev-status": "running", "status": "closing_gracefully"}
CLOSING = {"action": STATUS, "prev-status": "closing_gracefully", "status": "closing"}
KEPT = {"action": STATUS, "prev-status": "closing_gracefully", "status": "running"}
KILLED = {"action": STATUS, "prev-status": "running", "status": "closing"}


@pytest.mark.parametrize(
    ("events", "retired"),
    [
        ([], False),
        ([ADDED, STARTED], False),
        ([ADDED, STARTED, RETIRING, {"action": "remove-worker"}, {"action": "retired"}], True),
        ([ADDED, STARTED, RETIRING, CLOSING], True),
        ([ADDED, STARTED, KILLED], False),
        ([ADDED, STARTED, RETIRING, KEPT, KILLED], False),  # its data could not be moved
        ([ADDED, STARTED, RETIRING, ADDED], False),  # another worker at that address
    ],
)
def test_a_worker_is_retired_by_the_last_events_of_its_address(
    events: list[dict[str, str]], retired: bool
) -> None:
    assert is_retired((float(at), event) for at, event in enumerate(events)) is retired
