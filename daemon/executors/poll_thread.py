"""The thread in which an executor polls another host. It is replaced when it hangs."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from backfilld.daemon.wakeable_task_thread import Worker
from backfilld.state.base_errors import BackfilldError

log = logging.getLogger(__name__)

CLOSE_SECONDS = 20.0
"""How long `close` waits for the current poll."""
SUPERVISE_SECONDS = 1.0
"""How often the progress of the polling thread is checked."""
MAX_HUNG = 5
"""With so many hung threads, no further thread is started: it would hang too."""


class Superseded(BackfilldError):
    """Raised in a thread that hung and was replaced. It must change nothing any more."""


class PollThread:
    """Calls `poll` in a thread named after the host, when woken and every `interval` seconds.

    A thread cannot be ended from outside. One that makes no progress for `worker.STALL_SECONDS` is abandoned,
    and another thread polls instead.
    """

    def __init__(self, name: str, poll: Callable[[], bool], *, interval: float) -> None:
        self._name = name
        self._poll = poll
        self._interval = interval
        self._worker = self._new_worker()
        self._hung: list[Worker] = []
        self._supervisor = Worker(f"{name} supervisor", self._supervise, poll_interval=SUPERVISE_SECONDS)

    @property
    def status_message(self) -> str:
        """The unexpected error that keeps it from polling; empty when there is none."""
        fault = self._worker.last_error
        return fault and f"polling {self._name} fails: {fault}"

    @property
    def fault(self) -> str:
        """The status message, or that abandoned threads still hang; empty when all is well."""
        hung = f"{len(self._hung)} of the threads that poll {self._name} hang, and another one polls"
        return self.status_message or (f"{hung}; restart the daemon to end them" if self._hung else "")

    @property
    def stopping(self) -> bool:
        """Whether the thread is to end: a long poll may return early."""
        return self._worker.stopping

    def start(self) -> None:
        """Begin to poll."""
        self._worker.start()
        self._supervisor.start()

    def wake(self) -> None:
        """Poll now."""
        self._worker.wake()

    def progress(self) -> None:
        """Report that the poll goes on; a no-op in other threads. Raises Superseded in a replaced thread."""
        if any(worker.current for worker in self._hung):
            raise Superseded("this thread hung and was replaced")
        if self._worker.current:
            self._worker.busy_since = time.monotonic()

    def close(self) -> None:
        """Stop polling. Idempotent."""
        for worker in (self._supervisor, self._worker):
            worker.stop()
            worker.join(CLOSE_SECONDS)

    def _new_worker(self) -> Worker:
        return Worker(self._name, self._poll_once, poll_interval=self._interval)

    def _poll_once(self) -> float | None:
        return 0.0 if self._poll() else None

    def _supervise(self) -> None:
        """Replace the polling thread if it hangs."""
        self._hung = [worker for worker in self._hung if not worker.join(0)]
        if self._worker.stalled and len(self._hung) < MAX_HUNG:
            self._replace()

    def _replace(self) -> None:
        """Go on with another thread, which shows the fault until it has polled once."""
        hung, worker = self._worker, self._new_worker()
        worker.last_error = "its thread hung and was replaced"
        log.error("polling %s: %s", self._name, worker.last_error)
        hung.stop()
        self._hung.append(hung)
        self._worker = worker
        worker.start()
