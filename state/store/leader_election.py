"""Leader election: one daemon leads per state database, and holds a lock that ends with its process.

With SQLite it is a lock on a file in the state directory, which the kernel releases; a second daemon is
refused, since it would use the same directory. With PostgreSQL it is an advisory lock, which the server
releases with the session; a second daemon, possibly on another host, becomes a standby.
"""

from __future__ import annotations

import datetime as dt
import fcntl
import json
import os
import socket
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from backfilld.state.base_errors import UserError
from backfilld.state.store.database import Database
from backfilld.state.store.database_errors import DatabaseUnavailable, NotLeader
from backfilld.state.store.postgresql import LEADER

FILE = "daemon.lock"
_MAX_BYTES = 4096
IDLE_SECONDS = 300.0
"""With PostgreSQL, a leader that does not run for this long, such as a stopped process, is replaced. It is
longer than any pass of a living engine."""


class AlreadyRunning(UserError):
    """Another daemon serves this state database; the message names it."""


class TransactionPooler(UserError):
    """A pooler gives each transaction to another session of the server, so that none can hold the lead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """The daemon that serves a state database. `since` is epoch seconds, `listen` is HOST:PORT."""

    pid: int
    host: str
    since: float
    listen: str

    @classmethod
    def me(cls, *, since: float, listen: str) -> Holder:
        """This process."""
        return cls(pid=os.getpid(), host=socket.gethostname(), since=since, listen=listen)

    @classmethod
    def parse(cls, text: str) -> Holder | None:
        """Parse the result of `text`; None for anything else."""
        try:
            fields = json.loads(text)
            pid, since = int(fields["pid"]), float(fields["since"])
            return cls(pid=pid, host=str(fields["host"]), since=since, listen=str(fields["listen"]))
        except (ValueError, KeyError, TypeError):
            return None

    def text(self) -> str:
        """The holder as one line of JSON."""
        return json.dumps(asdict(self)) + "\n"

    def __str__(self) -> str:
        since = dt.datetime.fromtimestamp(self.since, dt.UTC)
        return f"pid {self.pid} on {self.host}, since {since:%Y-%m-%d %H:%M:%S} UTC, at http://{self.listen}"


class DaemonLock(Protocol):
    """The right to change a state database, from `acquire` until `release` or the end of the process."""

    def acquire(self) -> str:
        """Acquire the lock if it is free. Empty on success, else which daemon holds it.

        Raises:
            AlreadyRunning: another daemon holds it, and this kind of lock has no standby.
            DatabaseUnavailable: the lock cannot be checked.
        """

    def held(self) -> bool:
        """Whether this daemon still holds it. Raises DatabaseUnavailable if it cannot be checked."""

    def check(self, tx: Connection) -> None:
        """Refuse a writing transaction unless this daemon holds the lock. Raises NotLeader."""

    def release(self) -> None:
        """Release the lock."""


def open_lock(database: Database, holder: Holder) -> DaemonLock:
    """The lock of a database, not acquired yet."""
    if database.sqlite:
        return FileLock(database.path.with_name(FILE), holder)
    return AdvisoryLock(database, holder)


class FileLock:
    """A locked file, which contains its holder for the message of a daemon that is refused."""

    def __init__(self, path: Path, holder: Holder) -> None:
        self._path = path
        self._holder = holder
        self._fd = -1

    def acquire(self) -> str:
        """Acquire the lock and write the holder. Raises AlreadyRunning or DatabaseUnavailable."""
        try:
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            message = f"{self._path} cannot be opened: {error.strerror}; check its owner"
            raise DatabaseUnavailable(message) from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            text = os.pread(fd, _MAX_BYTES, 0).decode(errors="replace")
            os.close(fd)
            raise AlreadyRunning(_refusal(self._path, Holder.parse(text))) from error
        with suppress(OSError):  # for example a full disk: the lock is valid without the text
            os.truncate(fd, 0)
            os.pwrite(fd, self._holder.text().encode(), 0)
        self._fd = fd
        return ""

    def held(self) -> bool:
        """Whether it is locked: the kernel takes a lock from no process."""
        return self._fd >= 0

    def check(self, tx: Connection) -> None:
        """Accept every transaction: a second daemon is refused at its start."""

    def release(self) -> None:
        """Release the lock. The file stays: if it were removed, two daemons could lock two files."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


_LEADER = """
    SELECT session.application_name
    FROM pg_locks AS held, pg_stat_get_activity(held.pid) AS session
    WHERE held.locktype = 'advisory' AND held.granted
      AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND (held.classid, held.objid) = (%s::bigint::oid, %s::bigint::oid)
"""


class AdvisoryLock:
    """An advisory lock of a session whose application name identifies the leader to the other daemons.

    The session ends with the daemon, when its host does not respond, when the daemon is stopped for longer
    than IDLE_SECONDS, or when the server restarts, and the
    daemon may not notice at once. Each writing transaction therefore first checks that its daemon still
    holds the lock: a daemon that lost it cannot write, whatever its clock and network do.
    """

    def __init__(self, database: Database, holder: Holder) -> None:
        self._database = database
        self._holder = holder
        self._session: Connection | None = None
        self._name = ""

    def acquire(self) -> str:
        """Acquire the lock if it is free; empty, or which daemon leads.

        Raises DatabaseUnavailable or TransactionPooler.
        """
        self.release()
        with self._database.translate_errors():
            session = self._session = self._database.session()
            if not session.exec_driver_sql("SELECT pg_try_advisory_lock(%s, %s)", LEADER).scalar_one():
                self.release()
                return f"leader is {self._leader() or 'not known yet'}"
            self._refuse_transaction_pooler(session)
            self._name = _application_name(self._holder, time.time())
            session.exec_driver_sql("SELECT set_config('application_name', %s, false)", (self._name,))
            session.exec_driver_sql(f"SET idle_session_timeout = {round(IDLE_SECONDS * 1000)}")
        try:
            # After this transaction, no write of the previous leader can still be committed.
            with self._database.write():
                return ""
        except NotLeader:  # lost meanwhile, such as by waiting here for longer than IDLE_SECONDS
            self.release()
            return f"leader is {self._leader() or 'not known yet'}"

    def held(self) -> bool:
        """Whether the server names this daemon as the holder. Raises DatabaseUnavailable.

        The query is also the heartbeat of the session: without one for IDLE_SECONDS the server ends it.
        """
        if self._session is None or not self._name:
            return False
        try:
            return _leader(self._session) == self._name
        except DBAPIError as error:
            if error.connection_invalidated:
                self._session.close()
                self._session = None
            return self._leader() == self._name  # raises DatabaseUnavailable if the server is away

    def check(self, tx: Connection) -> None:
        """Refuse a transaction unless this daemon leads. Raises NotLeader."""
        leader = _leader(tx)
        if not self._name or leader != self._name:
            raise NotLeader(
                f"this daemon is a standby; send changes to the leader, {leader or 'not known yet'}"
            )

    def release(self) -> None:
        """Release the lock, then close the session, which the server may notice a little later."""
        if self._session is not None:
            with suppress(DBAPIError), self._session as session:  # it may be lost already
                if self._name:
                    session.exec_driver_sql("SELECT pg_advisory_unlock(%s, %s)", LEADER)
        self._session, self._name = None, ""

    def _refuse_transaction_pooler(self, session: Connection) -> None:
        """Release the lead and raise TransactionPooler if its session is not always the same."""
        locked = _backend_pid(session)
        driver: Any = session.connection.dbapi_connection
        if driver.info.backend_pid == locked:
            return
        # A pooler is between. One for transactions gives the session of the lead to the next transaction.
        with self._database.read() as tx:
            _backend_pid(tx)
            moved = _backend_pid(session) != locked
        if moved:
            with suppress(DBAPIError):  # it may be this very session
                session.exec_driver_sql("SELECT pg_terminate_backend(%s)", (locked,))
            self.release()
            raise TransactionPooler(
                f"{self._database.name} is a pooler in transaction mode, which cannot hold the lead:"
                " connect to the server itself, or to a pooler in session mode"
            )

    def _leader(self) -> str:
        with self._database.read() as tx:
            return _leader(tx)


def _backend_pid(tx: Connection) -> int:
    return int(tx.exec_driver_sql("SELECT pg_backend_pid()").scalar_one())


def _leader(tx: Connection) -> str:
    return tx.exec_driver_sql(_LEADER, LEADER).scalar() or ""


def _application_name(holder: Holder, since: float) -> str:
    """The name of a session: the daemon, in at most 63 characters."""
    at = dt.datetime.fromtimestamp(since, dt.UTC)
    return f"{holder.host[:30]}:{holder.pid} since {at:%Y-%m-%d %H:%M:%S}Z"


def _refusal(path: Path, holder: Holder | None) -> str:
    who = str(holder) if holder else f"unknown, see `fuser {path}`"
    refusal = f"another daemon serves the state directory {path.parent}: {who};"
    if holder and holder.host == socket.gethostname() and _is_suspended(holder.pid):
        return f"{refusal} it is suspended, and ends only after `kill -CONT {holder.pid}`"
    return f"{refusal} stop that one first, or start this one with another --state-dir"


def _is_suspended(pid: int) -> bool:
    """Whether a process is stopped, such as by SIGSTOP; False if it cannot be read."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("ascii", "replace").rpartition(")")[2].split()[0] in "Tt"
    except (OSError, IndexError):
        return False
