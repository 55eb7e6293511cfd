"""A thread that runs a task whenever it is woken, and survives the errors of that task."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from backfilld.state.formatting import first_line
from backfilld.state.store.database_errors import DatabaseUnavailable

log = logging.getLogger(__name__)

FAULT_PAUSE_SECONDS = 5.0
"""Pause after an error, so that a lasting fault does not become a busy loop."""
STALL_SECONDS = 120.0
"""A task that runs longer than this counts as stuck."""


class Worker:
    """A thread that runs `task` whenever it is woken, and as many seconds after a run as that has returned.

    It also wakes by itself every `poll_interval` seconds. `on_iteration` is called after each run of the
    task, including failed ones. `last_error` is empty while the task succeeds.
    """

    def __init__(
        self,
        name: str,
        task: Callable[[], float | None],
        *,
        on_iteration: Callable[[], None] = lambda: None,
        poll_interval: float | None = None,
    ) -> None:
        self._task = task
        self._on_iteration = on_iteration
        self._poll_interval = poll_interval
        self._woken = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.busy_since: float | None = None
        self.last_error = ""

    def start(self) -> None:
        """Start the thread and run the task once."""
        self._thread.start()
        self.wake()

    def wake(self) -> None:
        """Run the task now: something has happened."""
        self._woken.set()

    def stop(self) -> None:
        """Do not run the task again."""
        self._stopping.set()
        self._woken.set()

    def join(self, timeout: float) -> bool:
        """Wait at most `timeout` seconds for the thread. Returns whether it has ended."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        wait_seconds = self._poll_interval
        while not self._stopping.is_set():
            self._woken.wait(wait_seconds)
            self._woken.clear()
            if not self._stopping.is_set():
                wait_seconds = self._shortest(self._once())

    def _once(self) -> float | None:
        """Run the task. Returns the seconds until it is to run again; None if only when woken."""
        self.busy_since = time.monotonic()
        try:
            next_run_in = self._task()
            if self.last_error:
                log.info("the %s worker has recovered", self._thread.name)
            self.last_error = ""
        except DatabaseUnavailable as error:
            if self.last_error != str(error):  # log a lasting error once
                log.error("the %s worker waits: %s", self._thread.name, error)
            next_run_in = self._back_off(str(error))
        except Exception as error:
            error_text = f"{type(error).__name__}: {first_line(str(error))}"
            if self.last_error != error_text:
                log.exception("error in the %s worker", self._thread.name)
            next_run_in = self._back_off(error_text)
        self.busy_since = None
        self._on_iteration()
        return next_run_in

    def _shortest(self, seconds: float | None) -> float | None:
        """How long to wait for a wake-up: at most `poll_interval`, and no longer than a lock can wait."""
        limits = [limit for limit in (seconds, self._poll_interval) if limit is not None]
        return max(0.0, min(*limits, threading.TIMEOUT_MAX)) if limits else None

    def _back_off(self, error_text: str) -> float:
        """Pause, then try again: the database knows what was under way."""
        self.last_error = error_text
        self._stopping.wait(FAULT_PAUSE_SECONDS)
        return 0.0

    @property
    def current(self) -> bool:
        """Whether the caller runs in this worker's thread."""
        return threading.current_thread() is self._thread

    @property
    def stopping(self) -> bool:
        """Whether `stop` was called, so that a long task may end early."""
        return self._stopping.is_set()

    @property
    def problem(self) -> str:
        """The last error, or that the task does not return or its thread has ended; empty if all is well."""
        if self.last_error:
            return self.last_error
        if self.stalled:
            return "a tick does not return"
        if self._thread.ident is not None and not self._thread.is_alive():
            return "its thread has ended: restart the daemon"
        return ""

    @property
    def stalled(self) -> bool:
        """Whether the task has been running for longer than `STALL_SECONDS`."""
        since = self.busy_since
        return since is not None and time.monotonic() - since > STALL_SECONDS
