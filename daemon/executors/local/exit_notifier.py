"""A thread that notices at once when a process ends, and wakes at set times."""

from __future__ import annotations

import heapq
import os
import select
import threading
import time
from collections.abc import Callable


class ExitNotifier:
    """Calls `notify`, in a thread of its own, whenever a watched process ends or an alarm is due.

    It works on pidfds, so a process need not be a child: those of an earlier daemon are noticed as well.
    The thread shares only the epoll set, which the kernel guards, and the alarms.
    """

    def __init__(self, notify: Callable[[], None]) -> None:
        self._notify = notify
        self._epoll = select.epoll()
        self._bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._epoll.register(self._bell, select.EPOLLIN)
        self._lock = threading.Lock()
        self._alarms: list[float] = []
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="job-watcher", daemon=True)
        self._thread.start()

    def watch(self, pidfd: int) -> None:
        """Notify once when the process ends. Closing the pidfd ends the watch."""
        self._epoll.register(pidfd, select.EPOLLIN | select.EPOLLONESHOT)

    def alarm(self, at: float) -> None:
        """Notify once at the time `at`, in seconds of the monotonic clock."""
        if self._closing:  # the bell's descriptor may be somebody else's by now
            return
        with self._lock:
            heapq.heappush(self._alarms, at)
        os.eventfd_write(self._bell, 1)

    def close(self) -> None:
        """End the thread: `notify` is not called any more. Idempotent; not for `notify` to call."""
        if self._closing:
            return
        self._closing = True
        os.eventfd_write(self._bell, 1)
        self._thread.join()
        self._epoll.close()
        os.close(self._bell)

    def _run(self) -> None:
        while not self._closing:
            ready = [fd for fd, _ in self._epoll.poll(self._patience())]
            if self._bell in ready:
                os.eventfd_read(self._bell)
                ready.remove(self._bell)
            due = self._due()
            if (ready or due) and not self._closing:
                self._notify()

    def _patience(self) -> float | None:
        """Seconds until the next alarm; an hour at most, as epoll knows no far future."""
        with self._lock:
            return min(max(0.0, self._alarms[0] - time.monotonic()), 3600.0) if self._alarms else None

    def _due(self) -> bool:
        """Take away the alarms whose time has come."""
        due = False
        with self._lock:
            while self._alarms and self._alarms[0] <= time.monotonic():
                heapq.heappop(self._alarms)
                due = True
        return due
