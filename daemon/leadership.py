"""Leader election: one daemon per state database runs the engine, all others stand by."""

from __future__ import annotations

import logging
from collections.abc import Callable

from backfilld.state.store.leader_election import DaemonLock

log = logging.getLogger(__name__)

UNKNOWN = "no leader is known yet"
"""Instead of the daemon that leads: none was looked for yet, or the database does not answer."""


class Leadership:
    """Acquires leadership when it is free, also after it was lost.

    Calls `open_state` each time before anything moves, and counts the times in `term`.
    """

    def __init__(self, lock: DaemonLock, open_state: Callable[[], None]) -> None:
        self._lock = lock
        self._open_state = open_state
        self.standby = UNKNOWN
        """The daemon that leads instead; empty while this one leads."""
        self.term = 0

    def ensure_leader(self) -> bool:
        """Keep leadership, or acquire it if it is free. Returns whether this daemon leads now.

        Raises:
            AlreadyRunning: another daemon serves the state directory.
            DatabaseUnavailable: the lock or the database cannot be used.
        """
        if not self.standby:
            if self._lock.held():
                return True
            log.warning("leadership is lost: nothing moves until it is acquired again")
            self.standby = UNKNOWN
        if leader := self._lock.acquire():
            if leader != self.standby:
                log.info("standing by: %s", leader)
            self.standby = leader
            return False
        self._open_state()
        if self.standby != UNKNOWN:
            log.info("this daemon leads now, in place of %s", self.standby.removeprefix("leader is "))
        elif self.term:
            log.info("this daemon leads again")
        self.standby = ""
        self.term += 1
        return True
