"""A thread that calls back when a process ends and at set times."""

from __future__ import annotations

import heapq
import os
import select
import threading
import time
from collections.abc import Callable


class ExitNotifier:
    """Calls `notify` in its own thread when a watched process ends or an alarm is due.

    It works on pidfds, so that processes need not be children: it also watches those of an earlier daemon.
    Threads share only the epoll set, which the kernel synchronizes, and the alarms.
    """

    def __init__(self, notify: Callable[[], None]) -> None:
        self._notify = notify
        self._epoll = select.epoll()
        self._wakeup_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._epoll.register(self._wakeup_fd, select.EPOLLIN)
        self._lock = threading.Lock()
        self._alarms: list[float] = []
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="exit-notifier", daemon=True)
        self._thread.start()

    def watch(self, pidfd: int) -> None:
        """Notify once when the process ends. To cancel, close the pidfd."""
        self._epoll.register(pidfd, select.EPOLLIN | select.EPOLLONESHOT)

    def alarm(self, at: float) -> None:
        """Notify once at time `at`, in seconds of the monotonic clock."""
        if self._closing:  # the wake-up descriptor may have been reused by now
            return
        with self._lock:
            heapq.heappush(self._alarms, at)
        os.eventfd_write(self._wakeup_fd, 1)

    def close(self) -> None:
        """End the thread; `notify` is not called afterwards. Idempotent. Must not be called from `notify`."""
        if self._closing:
            return
        self._closing = True
        os.eventfd_write(self._wakeup_fd, 1)
        self._thread.join()
        self._epoll.close()
        os.close(self._wakeup_fd)

    def _run(self) -> None:
        while not self._closing:
            ready = [fd for fd, _ in self._epoll.poll(self._poll_timeout())]
            if self._wakeup_fd in ready:
                os.eventfd_read(self._wakeup_fd)
                ready.remove(self._wakeup_fd)
            due = self._pop_due_alarms()
            if (ready or due) and not self._closing:
                self._notify()

    def _poll_timeout(self) -> float | None:
        """Seconds until the next alarm, at most an hour, which epoll can represent; None without alarms."""
        with self._lock:
            return min(max(0.0, self._alarms[0] - time.monotonic()), 3600.0) if self._alarms else None

    def _pop_due_alarms(self) -> bool:
        """Remove the alarms that are due; whether there were any."""
        due = False
        with self._lock:
            while self._alarms and self._alarms[0] <= time.monotonic():
                heapq.heappop(self._alarms)
                due = True
        return due
