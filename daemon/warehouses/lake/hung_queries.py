"""Queries that neither end nor can be interrupted, such as of a network mount that does not answer.

A thread cannot be ended from outside. That of such a query is abandoned with its session, and others go on.
"""

from __future__ import annotations

import threading
from collections.abc import Collection
from dataclasses import dataclass

from backfilld.daemon.warehouses.adapter import QueryError, WarehouseError

MAX_HUNG = 16
"""With so many hung threads, no further query is sent: it would hang too."""
REMEDY = "check the disk or mount of the lake"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Hung:
    thread: threading.Thread
    files: frozenset[str]
    session: object
    """Kept, because its end would wait for the query."""


class HungQueries:
    """The hung queries of a lake, by the files that each reads. Safe to call from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._hung: list[_Hung] = []

    def add(self, thread: threading.Thread, files: Collection[str], session: object) -> None:
        """Record a query whose thread is abandoned."""
        with self._lock:
            self._hung.append(_Hung(thread=thread, files=frozenset(files), session=session))

    def require_none(self, files: Collection[str]) -> None:
        """Check that a query of some files is not one that still hangs with others.

        Raises:
            QueryError: a query hangs that reads these files, or some of them alone.
            WarehouseError: too many queries hang.
        """
        with self._lock:
            self._hung = [hung for hung in self._hung if hung.thread.is_alive()]
            hung = list(self._hung)
        if len(hung) >= MAX_HUNG:
            raise WarehouseError(f"{len(hung)} queries of the lake hang; {REMEDY}, then restart the daemon")
        if any(query.files and query.files <= set(files) for query in hung):
            raise QueryError(f"an earlier query of the same files hangs; {REMEDY}", inaccessible=True)
