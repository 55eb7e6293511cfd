"""Where the daemon can die: named points around every commit, launch and question."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Protocol

from sqlalchemy import Connection

from backfilld.state.store.database import Database


class Killed(BaseException):
    """SIGKILL: nothing catches it, nothing is cleaned up but what the operating system cleans up."""


class Point(Protocol):
    """Called at each named point; `free` when no transaction is open, so that others may act there."""

    def __call__(self, name: str, *, free: bool = True) -> None: ...


def _pass(name: str, *, free: bool = True) -> None:
    """Nothing happens at a point."""


class MortalDatabase(Database):
    """The real database in memory, with named points around its transactions.

    It outlives the daemon, as a file does; what is not committed when the daemon dies is rolled back.
    """

    def __init__(self) -> None:
        super().__init__("sqlite://")
        self.point: Point = _pass
        self.committed: Callable[[], None] = lambda: None
        self.upgrade()
        with self.read() as tx:
            self.raw = tx.connection.driver_connection
        self._empty: bytes = self.raw.serialize()

    def clear(self) -> None:
        """Empty it for another world; compiled statements stay."""
        self.point, self.committed = _pass, lambda: None
        self.raw.deserialize(self._empty)

    @contextlib.contextmanager
    def write(self, *, fenced: bool = True) -> Iterator[Connection]:
        """As the real one, with its points."""
        self.point("before a transaction")
        with super().write(fenced=fenced) as tx:
            yield tx
            self.point("before commit", free=False)
        self.committed()
        self.point("after commit")
