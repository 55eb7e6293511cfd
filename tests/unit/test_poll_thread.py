"""The thread that polls for an executor: one that hangs is named, and another polls instead."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from backfilld.daemon import wakeable_task_thread
from backfilld.daemon.executors import poll_thread
from backfilld.daemon.executors.poll_thread import MAX_HUNG, PollThread, Superseded
from backfilld.daemon.wakeable_task_thread import STALL_SECONDS
from tests.integration.real_jobs import until
from tests.timeouts import PATIENCE

HANG = "1 of the threads that poll here hang, and another one polls; restart the daemon to end them"


class Clock:
    """The clock of the thread."""

    def __init__(self) -> None:
        self.now = 0.0
        self.reads = 0

    def monotonic(self) -> float:
        self.reads += 1
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module in (wakeable_task_thread, poll_thread):
        monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(poll_thread, "SUPERVISE_SECONDS", 0.001)
    return clock


class Host:
    """Something to poll: each poll hangs while `hangs`, until `release`."""

    def __init__(self) -> None:
        self.thread = PollThread("here", self.poll, interval=0.001)
        self.hangs = True
        self.release = threading.Event()
        self.polls = 0
        self.entered = 0
        self.superseded = 0

    def poll(self) -> bool:
        if self.hangs:
            self.entered += 1
            assert self.release.wait(PATIENCE)
        try:
            self.thread.progress()
        except Superseded:
            self.superseded += 1
            raise
        self.polls += 1
        return False


@pytest.fixture
def host(clock: Clock) -> Iterator[Host]:
    host = Host()
    with started(host.thread, at_the_end=host.release.set):
        until(lambda: host.entered, "the first poll")
        yield host


@contextmanager
def started(one: PollThread, at_the_end: Callable[[], None]) -> Iterator[None]:
    one.start()
    try:
        yield
    finally:
        at_the_end()
        one.close()


def test_a_poll_that_hangs_is_named_and_another_thread_polls(host: Host, clock: Clock) -> None:
    assert host.thread.fault == ""
    # When it has not returned for too long
    host.hangs = False
    clock.now += STALL_SECONDS + 1
    # Then another thread polls, and the one that hangs is named for as long as it does
    until(lambda: host.polls and not host.thread.status_message, "another thread")
    assert host.thread.fault == HANG
    # When it returns, it does no more
    host.release.set()
    until(lambda: not host.thread.fault, "the end of the thread")
    assert host.superseded == 1


def test_while_all_polls_hang_the_attempts_are_told_why(host: Host, clock: Clock) -> None:
    clock.now += STALL_SECONDS + 1
    told = "polling here fails: its thread hung and was replaced"
    until(lambda: host.entered == 2, "another thread")
    assert host.thread.status_message == host.thread.fault == told


def test_threads_that_hang_are_not_replaced_without_end(host: Host, clock: Clock) -> None:
    for count in range(2, MAX_HUNG + 2):
        clock.now += STALL_SECONDS + 1
        until(lambda count=count: host.entered == count, "another thread")
    clock.now += STALL_SECONDS + 1
    before = clock.reads
    until(lambda: clock.reads > before + 10, "some more checks")
    assert host.entered == MAX_HUNG + 1


def test_a_long_poll_that_makes_progress_is_left_alone(clock: Clock) -> None:
    steps = []

    def poll() -> bool:
        for _ in range(10):
            clock.now += STALL_SECONDS - 1
            one.progress()
            before = clock.reads
            until(lambda before=before: clock.reads > before + 2, "some checks")
            steps.append(one.fault)
        return False

    one = PollThread("here", poll, interval=3600)
    with started(one, at_the_end=lambda: None):
        until(lambda: len(steps) == 10, "the end of the poll")
    assert steps == [""] * 10
