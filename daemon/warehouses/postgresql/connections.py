"""Connections to a PostgreSQL server: a bounded number, kept for the next query, and read-only."""

from __future__ import annotations

import contextlib
import os
import queue
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.types.string import StrDumper

from backfilld.daemon.warehouses.adapter import WarehouseError

LOCK_SECONDS = 5.0
"""How long a query waits for a lock on its table: a job that replaces a table holds one until it commits."""
GRACE = 5.0
"""Seconds beyond the time limit after which a server that does not end a query counts as lost."""
_OPTIONS = {
    "application_name": "backfilld",
    "connect_timeout": 10,
    # A machine that is gone is noticed within about 11 s.
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 11_000,
}
_BEGIN = (
    "SELECT set_config('statement_timeout', %s, true), set_config('lock_timeout', %s, true),"
    " set_config('TimeZone', 'UTC', true), set_config('DateStyle', 'ISO, YMD', true),"
    " set_config('IntervalStyle', 'postgres', true)"
)
"""Of this transaction alone, so that a pooler may give the session to others afterwards."""

Connection = psycopg.Connection[Any]


class Connections:
    """The connections to one database. Safe to call from several threads."""

    def __init__(self, url: Callable[[], str], *, limit: int, timeout: float) -> None:
        """`url` gives where to connect; `timeout` is the time limit of a query in seconds."""
        self._url = url
        self._limits = (f"{timeout * 1000:.0f}", f"{min(LOCK_SECONDS, timeout / 2) * 1000:.0f}")
        self._give_up = timeout + GRACE
        self._slots: queue.LifoQueue[Connection | None] = queue.LifoQueue()
        for _ in range(limit):
            self._slots.put(None)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A connection in a read-only transaction, which ends with the block.

        Raises:
            psycopg.Error: the server cannot be reached, refuses the login, or does not answer any more.
            WarehouseError: the URL cannot be used.
        """
        connection = self._slots.get()
        try:
            connection = self._begun(connection)
            with self._guarded(connection):
                yield connection
        finally:
            with contextlib.suppress(psycopg.Error):
                if connection is not None:
                    connection.rollback()
            self._slots.put(None if connection is None or connection.closed else connection)

    def close(self) -> None:
        """Close the idle connections. Idempotent."""
        idle = []
        with contextlib.suppress(queue.Empty):
            while True:
                idle.append(self._slots.get_nowait())
        for connection in idle:
            if connection is not None:
                connection.close()
            self._slots.put(None)

    def _begun(self, idle: Connection | None) -> Connection:
        """A connection whose transaction has begun: the idle one, or a new one where the server left that."""
        if idle is not None:
            with contextlib.suppress(psycopg.OperationalError):
                self._begin(idle)
                return idle
            idle.close()
        made = psycopg.connect(
            **{**_OPTIONS, **_parsed(self._url())},
            prepare_threshold=None,  # a pooler may give the next transaction to another session
        )
        made.read_only = True
        made.adapters.register_dumper(str, StrDumper)  # lists of texts need a type
        try:
            self._begin(made)
        except psycopg.Error:
            made.close()
            raise
        return made

    def _begin(self, connection: Connection) -> None:
        with self._guarded(connection):
            connection.execute(_BEGIN, self._limits)

    @contextlib.contextmanager
    def _guarded(self, connection: Connection) -> Iterator[None]:
        """End the connection if the block takes too long: the server does not answer any more."""
        guard = threading.Timer(self._give_up, _disconnect, [connection])
        guard.start()
        try:
            yield
        finally:
            guard.cancel()


def _disconnect(connection: Connection) -> None:
    """End the connection from another thread, so that whoever waits for the server gets an error."""
    with (
        contextlib.suppress(psycopg.Error, OSError),
        socket.socket(fileno=os.dup(connection.fileno())) as end,
    ):
        end.shutdown(socket.SHUT_RDWR)


def _parsed(url: str) -> dict[str, Any]:
    """The options of a URL.

    Raises:
        WarehouseError: it cannot be used. No part of it is shown: what is misread may be the password.
    """
    wrong = WarehouseError(
        "the URL of the warehouse cannot be read; write it like postgresql://user:password@host:5432/database"
        " with only libpq's options, and special characters of the password as %40"
    )
    try:
        options = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        raise wrong from None
    misread = any("@" in str(options.get(name, "")) for name in ("host", "port", "dbname"))
    ports = str(options.get("port", "")).replace(",", "")
    if misread or (ports and not ports.isdigit()):
        raise wrong
    return options
