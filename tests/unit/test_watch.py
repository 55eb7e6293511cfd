"""The thread that polls for an executor: one that hangs is named, and another polls instead."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from daemon import worker
from daemon.executors import watch
from daemon.executors.watch import MAX_HUNG, Superseded, Watch
from daemon.worker import STALL_SECONDS
from tests.integration.real_jobs import until
from tests.patience import PATIENCE

HANG = "1 of the threads of the watch of here hang, and another one polls; restart the daemon to end them"


class Clock:
    """What the watch knows of time."""

    def __init__(self) -> None:
        self.now = 0.0
        self.reads = 0

    def monotonic(self) -> float:
        self.reads += 1
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module in (worker, watch):
        monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(watch, "SUPERVISE_SECONDS", 0.001)
    return clock


class Host:
    """Something to poll: each poll hangs while `hangs`, until `release`."""

    def __init__(self) -> None:
        self.watch = Watch("here", self.poll, nap=0.001)
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
            self.watch.progress()
        except Superseded:
            self.superseded += 1
            raise
        self.polls += 1
        return False


@pytest.fixture
def host(clock: Clock) -> Iterator[Host]:
    host = Host()
    with started(host.watch, at_the_end=host.release.set):
        until(lambda: host.entered, "the first poll")
        yield host


@contextmanager
def started(one: Watch, at_the_end: Callable[[], None]) -> Iterator[None]:
    one.start()
    try:
        yield
    finally:
        at_the_end()
        one.close()


def test_a_poll_that_hangs_is_named_and_another_thread_polls(host: Host, clock: Clock) -> None:
    assert host.watch.fault == ""
    # When it has not returned for too long
    host.hangs = False
    clock.now += STALL_SECONDS + 1
    # Then another thread polls, and the one that hangs is named for as long as it does
    until(lambda: host.polls and not host.watch.remark, "another thread")
    assert host.watch.fault == HANG
    # When it returns, it does no more
    host.release.set()
    until(lambda: not host.watch.fault, "the end of the thread")
    assert host.superseded == 1


def test_while_all_polls_hang_the_attempts_are_told_why(host: Host, clock: Clock) -> None:
    clock.now += STALL_SECONDS + 1
    told = "the watch of here meets an error: its thread hung and was replaced"
    until(lambda: host.entered == 2, "another thread")
    assert host.watch.remark == host.watch.fault == told


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

    one = Watch("here", poll, nap=3600)
    with started(one, at_the_end=lambda: None):
        until(lambda: len(steps) == 10, "the end of the poll")
    assert steps == [""] * 10
