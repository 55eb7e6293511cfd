"""Where the daemon can die: named points around every commit, launch and query."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from sqlalchemy import Connection

from backfilld.state.store.database import Database


class Killed(BaseException):
    """SIGKILL: no handler runs, and only what the operating system cleans up is cleaned up."""


class Point(Protocol):
    """Called at each named point; `free` when no transaction is open, so that other threads may act there."""

    def __call__(self, name: str, *, free: bool = True) -> None: ...


def _ignore(name: str, *, free: bool = True) -> None:
    """A point at which nothing happens."""


class CrashingDatabase(Database):
    """The real database in memory, with named points around its transactions.

    It survives the daemon, as a file does; a transaction that is open when the daemon dies is rolled back.
    One thread uses one connection, so memory is as good as a file here. Concurrent connections, files and
    real kills are the subject of tests/unit/test_faults.py and tests/acceptance.
    """

    def __init__(self) -> None:
        super().__init__("sqlite://")
        self.point: Point = _ignore
        self.on_commit: Callable[[], None] = lambda: None
        self.upgrade()
        with self.read() as tx:
            self.raw: Any = tx.connection.driver_connection
        self._empty: bytes = self.raw.serialize()

    def clear(self) -> None:
        """Empty it for another world; compiled statements stay."""
        self.point, self.on_commit = _ignore, lambda: None
        self.raw.deserialize(self._empty)

    @contextlib.contextmanager
    def write(self, *, fenced: bool = True) -> Iterator[Connection]:
        """A transaction of the real database, with its points."""
        self.point("before a transaction")
        with super().write(fenced=fenced) as tx:
            yield tx
            self.point("before commit", free=False)
        self.on_commit()
        self.point("after commit")
