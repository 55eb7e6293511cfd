"""Workers survive the errors of their task, and log each lasting error once."""

import logging
import threading

import pytest

from backfilld.daemon import wakeable_task_thread
from backfilld.daemon.wakeable_task_thread import Worker
from backfilld.state.store.database_errors import DatabaseUnavailable

DISK, BUG = DatabaseUnavailable("the disk is full"), ZeroDivisionError("0 of 0")


@pytest.mark.parametrize(
    ("faults", "messages"),
    [
        ([BUG] * 4, ["error in the test worker"]),
        ([DISK] * 4, ["the test worker waits: the disk is full"]),
        ([BUG, BUG, DISK, DISK], ["error in the test worker", "the test worker waits: the disk is full"]),
    ],
)
def test_a_lasting_error_is_logged_once(monkeypatch, caplog, faults, messages):
    # Given a task that raises errors and then has nothing to do
    monkeypatch.setattr(wakeable_task_thread, "FAULT_PAUSE_SECONDS", 0.0)
    errors = iter(faults)

    def task():
        if fault := next(errors, None):
            raise fault
        test_worker.stop()

    test_worker = Worker("test", task)
    with caplog.at_level(logging.INFO, logger="backfilld.daemon.wakeable_task_thread"):
        test_worker.start()
        assert test_worker.join(60)
    # Then each is logged once, and so is the recovery
    assert [record.getMessage() for record in caplog.records] == [*messages, "the test worker has recovered"]
    assert test_worker.last_error == ""


def test_an_error_with_a_whole_query_in_its_text_is_shown_by_its_first_line(monkeypatch):
    monkeypatch.setattr(wakeable_task_thread, "FAULT_PAUSE_SECONDS", 0.0)
    shown = []

    def task():
        if shown:
            test_worker.stop()
            return
        raise ValueError("too many terms in compound SELECT\n[SQL: SELECT " + "x, " * 1_000_000 + "]")

    test_worker = Worker("test", task, on_iteration=lambda: shown.append(test_worker.problem))
    test_worker.start()
    assert test_worker.join(60)
    assert shown[0] == "ValueError: too many terms in compound SELECT"


@pytest.mark.parametrize("seconds", [0.0, -3600.0])
def test_a_worker_runs_again_by_itself_when_its_task_is_due(seconds):
    # Given a task that is due now, or was due an hour ago, after its first run
    runs = []

    def task():
        runs.append("run")
        if len(runs) == 2:
            test_worker.stop()
        return seconds

    test_worker = Worker("test", task)
    test_worker.start()
    # Then it runs again without being woken
    assert test_worker.join(60)
    assert len(runs) == 2


def test_a_worker_waits_for_a_task_that_is_due_in_30_000_years_and_can_be_woken():
    runs = threading.Semaphore(0)
    test_worker = Worker("test", lambda: runs.release() or 1e12)
    test_worker.start()
    assert runs.acquire(timeout=60)
    test_worker.wake()
    assert runs.acquire(timeout=60)
    test_worker.stop()
    assert test_worker.join(60)
