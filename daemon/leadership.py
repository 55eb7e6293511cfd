"""Whether this daemon moves things, or stands by for another one on the same state database."""

from __future__ import annotations

import logging
from collections.abc import Callable

from backfilld.state.store.lock import DaemonLock

log = logging.getLogger(__name__)

_NOBODY = "no leader is known yet"


class Leadership:
    """The lead: taken wherever it is free, and again when it was lost and nobody else took it.

    `open_state` is called each time, before anything moves. `term` counts them.
    """

    def __init__(self, lock: DaemonLock, open_state: Callable[[], None]) -> None:
        self._lock = lock
        self._open_state = open_state
        self.standby = _NOBODY
        """Who leads instead; empty while this daemon leads."""
        self.term = 0

    def look(self) -> bool:
        """Whether it leads now.

        Raises:
            InUse: another daemon serves the state directory.
            DatabaseUnusable: that cannot be found out, or the database cannot be opened.
        """
        if not self.standby:
            if self._lock.held():
                return True
            log.warning("the lead is lost: nothing moves until it is taken again")
            self.standby = _NOBODY
        if leader := self._lock.acquire():
            if leader != self.standby:
                log.info("standing by: %s", leader)
            self.standby = leader
            return False
        self._open_state()
        self.standby = ""
        self.term += 1
        return True
