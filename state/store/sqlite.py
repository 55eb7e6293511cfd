"""SQLite as the state database: its connections and its transactions."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event

_COMPILED = 256
"""How many statements a connection keeps compiled. A season is run with some 150 different ones."""


def engine(url: URL, lock_wait: float) -> Engine:
    """Connections to the file at a URL, which wait `lock_wait` seconds for a lock."""
    made = create_engine(url, connect_args={"cached_statements": _COMPILED})

    @event.listens_for(made, "connect")
    def connected(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        for setting in (
            f"busy_timeout = {round(lock_wait * 1000)}",
            "journal_mode = WAL",
            "synchronous = FULL",
            "foreign_keys = ON",
        ):
            connection.execute(f"PRAGMA {setting}")

    return made


class Transactions:
    """Transactions on connections that stay open.

    A pool that hands out a connection for each and resets it afterwards takes as long as the statements of a
    short one. For SQLAlchemy each connection is in one transaction for good: BEGIN and COMMIT are sent here.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._idle: list[Connection] = []

    def write(self) -> contextlib.AbstractContextManager[Connection]:
        """A transaction that may change rows, and has the write lock."""
        return self._transaction("BEGIN IMMEDIATE")

    def read(self) -> contextlib.AbstractContextManager[Connection]:
        """A transaction that sees one snapshot."""
        return self._transaction("BEGIN")

    @contextlib.contextmanager
    def _transaction(self, how: str) -> Iterator[Connection]:
        """A transaction that begins with the statement `how`, committed at the end or rolled back."""
        try:
            connection = self._idle.pop()
        except IndexError:  # another thread may have taken the last one
            connection = self._engine.connect()
            connection.begin()
        driver: Any = connection.connection.dbapi_connection
        try:
            driver.execute(how)
            yield connection
            driver.commit()
        except BaseException:
            driver.rollback()
            raise
        finally:
            self._idle.append(connection)

    def close(self) -> None:
        """Close the connections that no transaction uses."""
        while self._idle:
            self._idle.pop().close()
