"""A thread that works when it is woken, and outlives whatever goes wrong with its work."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from backfilld.state.store.errors import DatabaseUnavailable

log = logging.getLogger(__name__)

FAULT_PAUSE_SECONDS = 5.0
"""How long a worker rests after an unforeseen error, so that a lasting fault does not become a busy loop."""
STALL_SECONDS = 120.0
"""A turn that lasts longer than this counts as stuck."""


class Worker:
    """A thread that calls a duty whenever it is woken, and again while the duty finds something to do.

    It also wakes by itself after `nap` seconds. `came_round` is called after each turn, a failed one too.
    """

    def __init__(
        self,
        name: str,
        duty: Callable[[], bool],
        *,
        done: Callable[[], None] = lambda: None,
        on_iteration: Callable[[], None] = lambda: None,
        nap: float | None = None,
    ) -> None:
        self._duty = duty
        self._done = done
        self._came_round = on_iteration
        self._nap = nap
        self._woken = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self.busy_since: float | None = None
        self.fault = ""

    def start(self) -> None:
        """Begin to work, with a first turn."""
        self._thread.start()
        self.wake()

    def wake(self) -> None:
        """Something happened: take a turn now."""
        self._woken.set()

    def stop(self) -> None:
        """Take no further turn."""
        self._stopping.set()
        self._woken.set()

    def join(self, timeout: float) -> bool:
        """Whether it has ended, after `timeout` seconds at most."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _work(self) -> None:
        while not self._stopping.is_set():
            self._woken.wait(self._nap)
            self._woken.clear()
            while not self._stopping.is_set() and self._once():
                pass

    def _once(self) -> bool:
        self.busy_since = time.monotonic()
        try:
            again = self._duty()
            if not again:
                self._done()
            if self.fault:
                log.info("the %s worker goes on", self._thread.name)
            self.fault = ""
        except DatabaseUnavailable as error:
            if self.fault != str(error):  # once, however long it lasts
                log.error("the %s worker waits: %s", self._thread.name, error)
            again = self._rest(str(error))
        except Exception as error:
            fault = f"{type(error).__name__}: {error}"
            if self.fault != fault:
                log.exception("the %s worker met an error", self._thread.name)
            again = self._rest(fault)
        self.busy_since = None
        self._came_round()
        return again

    def _rest(self, fault: str) -> bool:
        """Try again in a while: whatever was under way is found again in the database."""
        self.fault = fault
        self._stopping.wait(FAULT_PAUSE_SECONDS)
        return True

    @property
    def current(self) -> bool:
        """Whether the caller runs in this worker's thread."""
        return threading.current_thread() is self._thread

    @property
    def stopping(self) -> bool:
        """Whether it shall take no further turn: a long one may end early."""
        return self._stopping.is_set()

    @property
    def stalled(self) -> bool:
        """Whether its duty has not come back for long."""
        since = self.busy_since
        return since is not None and time.monotonic() - since > STALL_SECONDS
