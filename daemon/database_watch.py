"""Reports why the state database takes no writes, and when it takes them again, also while nothing moves."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from contextlib import suppress

from backfilld.state.store.database import Database
from backfilld.state.store.database_errors import DatabaseUnavailable

log = logging.getLogger(__name__)

CHECK_SECONDS = 5.0
"""How often it looks, and tries whether the database takes writes again."""


class DatabaseWatch:
    """Logs each cause of failed writes once, and tries a write until one succeeds.

    `reported` returns the causes that the workers have logged themselves.
    """

    def __init__(self, db: Database, reported: Callable[[], Collection[str]]) -> None:
        self._db = db
        self._reported = reported
        self._cause = ""

    def check(self) -> None:
        """Log a new cause, or that it is gone. Without this, an idle daemon would never write again."""
        if lost := self._db.lost_file():  # writes succeed, and go with the deleted file
            if lost != self._cause:
                log.error("%s", lost)
            self._cause = lost
            return
        if not self._db.failed_write and not self._cause:
            return
        if cause := self._db.failed_write:
            self._log(cause)
            with suppress(DatabaseUnavailable):
                self._db.try_write()
        if not self._db.failed_write:
            log.info("the state database takes writes again")
            self._cause = ""

    def _log(self, cause: str) -> None:
        if cause != self._cause and cause not in self._reported():
            log.error("requests that change something are refused: %s", cause)
        self._cause = cause
