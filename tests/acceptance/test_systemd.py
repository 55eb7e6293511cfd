"""The real daemon under what takes systemd's part: a datagram socket, and a watchdog's time."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import time

import pytest

from backfilld.demo import run_log
from tests.acceptance.daemon import ONE_OF_EACH, Daemon, jobs_alive
from tests.acceptance.notify_listener import Listener
from tests.timeouts import PATIENCE

WATCHDOG = 1.0


@contextlib.contextmanager
def write_lock(folder):
    """Another process's hold of the state database: whoever writes waits for it, whoever reads does not."""
    state = sqlite3.connect(folder / "state" / "state.db", timeout=PATIENCE, isolation_level=None)
    state.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        state.execute("ROLLBACK")
        state.close()


@pytest.fixture
def service(tmp_path):
    """A daemon that is to be started by a manager, and what that hears."""
    one, listener = Daemon(tmp_path / "d", pace="1"), Listener(tmp_path / "notify")
    one.keep(ONE_OF_EACH)
    one.more_environment = {
        "NOTIFY_SOCKET": str(tmp_path / "notify"),
        "WATCHDOG_USEC": f"{WATCHDOG * 1e6:.0f}",
    }
    yield one, listener
    if one.process is not None and one.process.poll() is None:
        one.signal(signal.SIGKILL)
    for number in jobs_alive(one.folder):
        with contextlib.suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)
    listener.close()


def test_it_is_ready_after_recovery_and_tells_when_it_stops(service):
    one, listener = service
    # Given a daemon that was killed while its jobs ran
    one.start()
    number = one.enqueue("2021-10-19", "2021-10-19")
    one.wait_for(lambda: jobs_alive(one.folder), "running")
    one.signal(signal.SIGKILL)
    # When it starts, and cannot write what it finds yet
    listener.lines.clear()
    with write_lock(one.folder):
        one.launch()
        listener.wait_for("STATUS=opening the state database")
        # Then it does not claim to be ready
        assert "READY=1" not in listener.within(1)
    # When it can, it recovers, and is ready after that: the API answers from then on
    listener.wait_for("READY=1")
    assert one.client.text("/readyz")[0] == "ok\n"
    assert [line for line in listener.lines if "WATCHDOG" not in line] == [
        "STATUS=opening the state database",
        "STATUS=adopting running jobs",
        "READY=1",
        f"STATUS=serves nba_demo at http://127.0.0.1:{one.port}",
    ]
    # Then jobs know nothing of the manager
    one.wait_for(lambda: jobs_alive(one.folder), "running again")
    for pid in jobs_alive(one.folder):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/environ", "rb") as environ:
            assert b"NOTIFY_SOCKET" not in (words := environ.read())
            assert b"WATCHDOG" not in words
    one.finish(number)
    # When it is told to end
    assert one.signal(signal.SIGTERM) == 0
    listener.wait_for("STOPPING=1")
    assert listener.lines.index("STOPPING=1") > listener.lines.index("READY=1")


def test_the_watchdog_is_fed_while_the_engine_comes_round_and_only_then(service):
    one, listener = service
    # Given an idle daemon: it feeds the watchdog again and again
    one.start()
    for _ in range(3):
        listener.lines.clear()
        listener.wait_for("WATCHDOG=1")
    # When the engine's turn hangs at a lock that another process holds, though everything else goes on
    one.enqueue("2021-10-19", "2021-10-19")
    one.wait_for(lambda: run_log.runs(one.lake), "at work")
    with write_lock(one.folder):
        one.wait_for(lambda: not jobs_alive(one.folder), "waiting for the end of a job to be written")
        time.sleep(WATCHDOG)
        # Then nothing feeds the watchdog, longer than it waits
        assert "WATCHDOG=1" not in listener.within(2 * WATCHDOG)
        assert one.client.text("/livez")[0] == "ok\n"
    # When the lock is gone, the engine comes round again
    listener.lines.clear()
    listener.wait_for("WATCHDOG=1")
    # When the watchdog bites, the stacks of all threads are told, the engine's among them
    with write_lock(one.folder):
        time.sleep(WATCHDOG)  # it waits for the lock by now: a deeper stack would be printed without its end
        one.signal(signal.SIGABRT)
    stacks = one.log().partition("Fatal Python error: Aborted")[2]
    assert "_work" in stacks, stacks


def test_a_daemon_that_stands_still_feeds_nobody(service):
    one, listener = service
    one.start()
    listener.wait_for("WATCHDOG=1")
    assert one.process is not None
    # When the whole process stands still
    one.process.send_signal(signal.SIGSTOP)
    time.sleep(0.2)
    # Then nothing is told until it goes on
    assert listener.within(2 * WATCHDOG) == []
    listener.lines.clear()
    one.process.send_signal(signal.SIGCONT)
    listener.wait_for("WATCHDOG=1")
