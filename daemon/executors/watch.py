"""The thread in which an executor polls another host, replaced when it hangs."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from daemon.worker import Worker

log = logging.getLogger(__name__)

CLOSE_SECONDS = 20.0
"""How long the end of the watch waits for what is being asked."""
SUPERVISE_SECONDS = 1.0
"""How often the progress of the polling thread is checked."""
MAX_HUNG = 5
"""With so many hung threads no other is started: what hangs would hang the next one too."""


class Superseded(Exception):
    """Raised in a thread that hung and was replaced: it must change nothing any more."""


class Watch:
    """Calls `poll` in a thread named after the host, when woken and every `nap` seconds.

    A thread cannot be ended from outside. One that makes no progress for `worker.STALL_SECONDS` is left
    behind, and another thread polls instead.
    """

    def __init__(self, name: str, poll: Callable[[], bool], *, nap: float) -> None:
        self._name = name
        self._poll = poll
        self._nap = nap
        self._worker = self._new_worker()
        self._hung: list[Worker] = []
        self._supervisor = Worker(f"{name} supervisor", self._supervise, nap=SUPERVISE_SECONDS)

    @property
    def remark(self) -> str:
        """What keeps it from looking, which nobody foresaw; empty when nothing does."""
        fault = self._worker.fault
        return fault and f"the watch of {self._name} meets an error: {fault}"

    @property
    def fault(self) -> str:
        """The remark, or that threads hang though another one polls; empty when neither is so."""
        hung = f"{len(self._hung)} of the threads of the watch of {self._name} hang, and another one polls"
        return self.remark or (f"{hung}; restart the daemon to end them" if self._hung else "")

    @property
    def stopping(self) -> bool:
        """Whether the watch is to end: a long poll may end early."""
        return self._worker.stopping

    def start(self) -> None:
        """Begin to poll."""
        self._worker.start()
        self._supervisor.start()

    def wake(self) -> None:
        """Something happened: poll now."""
        self._worker.wake()

    def progress(self) -> None:
        """Report that the poll goes on; a no-op in other threads. Raises Superseded in a replaced thread."""
        if any(worker.current for worker in self._hung):
            raise Superseded("this thread hung and was replaced")
        if self._worker.current:
            self._worker.busy_since = time.monotonic()

    def close(self) -> None:
        """Look no more. Idempotent."""
        for worker in (self._supervisor, self._worker):
            worker.stop()
            worker.join(CLOSE_SECONDS)

    def _new_worker(self) -> Worker:
        return Worker(self._name, self._poll, nap=self._nap)

    def _supervise(self) -> bool:
        """Replace the polling thread if it hangs. False, as the next check can wait."""
        self._hung = [worker for worker in self._hung if not worker.join(0)]
        if self._worker.stalled and len(self._hung) < MAX_HUNG:
            self._replace()
        return False

    def _replace(self) -> None:
        """Go on with another thread; the fault is that thread's until it has polled once."""
        hung, worker = self._worker, self._new_worker()
        worker.fault = "its thread hung and was replaced"
        log.error("the watch of %s: %s", self._name, worker.fault)
        hung.stop()
        self._hung.append(hung)
        self._worker = worker
        worker.start()
