"""Who leads: a daemon that takes the lead over says so, with the one before it."""

import logging

import pytest

from backfilld.daemon.leadership import Leadership


class Lock:
    """A lock that others hold, one after another; empty: it is free."""

    def __init__(self, *leaders: str) -> None:
        self.leaders = list(leaders)
        self.is_held = True

    def acquire(self) -> str:
        return self.leaders.pop(0)

    def held(self) -> bool:
        return self.is_held


def test_a_standby_that_takes_the_lead_logs_who_led_before(caplog: pytest.LogCaptureFixture) -> None:
    # Given a standby
    caplog.set_level(logging.INFO)
    leader = "leader is db1:4711 since 2026-11-01 12:00:00Z"
    lock = Lock(leader, leader, "", "", leader, "")
    leadership = Leadership(lock, lambda: None)  # type: ignore[arg-type]
    assert not leadership.ensure_leader()
    assert not leadership.ensure_leader()
    assert caplog.messages == [f"standing by: {leader}"]
    # When the leader ends, then the log says who leads, and in whose place
    assert leadership.ensure_leader()
    took_over = "this daemon leads now, in place of db1:4711 since 2026-11-01 12:00:00Z"
    assert caplog.messages[1:] == [took_over]
    assert caplog.records[-1].levelno == logging.INFO
    # And it says so where the lead was lost and is acquired at once, or from another leader
    for messages in (["this daemon leads again"], [f"standing by: {leader}", took_over]):
        caplog.clear()
        lock.is_held = False
        while not leadership.ensure_leader():
            pass
        lock.is_held = True
        assert caplog.messages[1:] == messages


def test_a_daemon_that_leads_from_its_start_takes_nothing_over(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert Leadership(Lock(""), lambda: None).ensure_leader()  # type: ignore[arg-type]
    assert caplog.messages == []
