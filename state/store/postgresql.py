"""PostgreSQL as the state database: its sessions and its transactions.

The store takes it that a writer has the database to itself: what it read holds until it commits. One advisory
lock gives just that, as BEGIN IMMEDIATE does in SQLite. SERIALIZABLE would too, but by refusing a commit
now and then, so that every writer had to be able to run again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event

WRITER, LEADER = (0x6266, 1), (0x6266, 2)
"""The two advisory locks: of whoever writes now, until its transaction ends; of the daemon that leads."""
NAME = "backfilld"
"""What the server calls our sessions."""

# A machine that is gone is noticed within about 11 s by either side; its locks go with its sessions.
_ALIVE = {
    "tcp_keepalives_idle": 5,
    "tcp_keepalives_interval": 2,
    "tcp_keepalives_count": 3,
    "tcp_user_timeout": 11_000,
}
_CONNECT_SECONDS = 10


def engine(url: URL, lock_wait: float) -> Engine:
    """Connections to the database at a URL that any driver's name may begin; lost ones are replaced.

    Options of the URL win over those that are set here.
    """
    options: dict[str, Any] = {"application_name": NAME, "connect_timeout": _CONNECT_SECONDS}
    options |= {name.removeprefix("tcp_") if "keep" in name else name: n for name, n in _ALIVE.items()}
    options = {name: value for name, value in options.items() if name not in url.query}
    settings = {"lock_timeout": round(lock_wait * 1000), "idle_session_timeout": 0, **_ALIVE}
    made = create_engine(url.set(drivername="postgresql+psycopg"), pool_pre_ping=True, connect_args=options)

    @event.listens_for(made, "connect")
    def connected(connection: Any, _record: Any) -> None:
        for name, value in settings.items():
            connection.execute(f"SET {name} = {value}")
        connection.commit()

    return made


class Transactions:
    """Transactions on connections of a pool. The driver begins one with its first statement."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reader = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that may change rows, once no other one writes.

        It waits first of all, so as to see what the one before committed.
        """
        with self._engine.begin() as connection:
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(%s, %s)", WRITER)
            yield connection

    def read(self) -> contextlib.AbstractContextManager[Connection]:
        """A transaction that sees one snapshot."""
        return self._reader.begin()

    def close(self) -> None:
        """The pool has all connections."""
