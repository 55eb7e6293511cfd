"""The threads that work: a fault is rested from, and told once however long it lasts."""

import logging

import pytest

from backfilld.daemon import worker
from backfilld.daemon.worker import Worker
from backfilld.state.store.errors import DatabaseUnavailable

DISK, BUG = DatabaseUnavailable("the disk is full"), ZeroDivisionError("0 of 0")


@pytest.mark.parametrize(
    ("faults", "told"),
    [
        ([BUG] * 4, ["the test worker met an error"]),
        ([DISK] * 4, ["the test worker waits: the disk is full"]),
        ([BUG, BUG, DISK, DISK], ["the test worker met an error", "the test worker waits: the disk is full"]),
    ],
)
def test_a_fault_is_logged_once_however_long_it_lasts(monkeypatch, caplog, faults, told):
    # Given a duty that meets faults, and then has nothing to do
    monkeypatch.setattr(worker, "FAULT_PAUSE_SECONDS", 0.0)
    coming = iter(faults)

    def duty():
        if fault := next(coming, None):
            raise fault
        one.stop()
        return False

    one = Worker("test", duty)
    with caplog.at_level(logging.INFO, logger="backfilld.daemon.worker"):
        one.start()
        assert one.join(60)
    # Then each was told once, and that it is over
    assert [record.getMessage() for record in caplog.records] == [*told, "the test worker goes on"]
    assert one.fault == ""
