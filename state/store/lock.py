"""One daemon leads per state database: it holds a lock that goes with its process.

Beside an SQLite file that is a lock on a file, which the kernel frees, and a second daemon is refused: it
would work on the same directory. In PostgreSQL it is an advisory lock, which the server frees with the
session, and a second daemon, on another machine perhaps, stands by.
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
from typing import Protocol

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from backfilld.state.errors import UserError
from backfilld.state.store.database import Database
from backfilld.state.store.errors import DatabaseUnavailable, NotLeader
from backfilld.state.store.postgresql import LEADER

FILE = "daemon.lock"
_LONGEST = 4096


class AlreadyRunning(UserError):
    """Another daemon serves this state database; the message says who."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Who serves a state database. `since` is epoch seconds, `listen` is HOST:PORT."""

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
        """Read what `text` wrote; None for anything else."""
        try:
            said = json.loads(text)
            pid, since = int(said["pid"]), float(said["since"])
            return cls(pid=pid, host=str(said["host"]), since=since, listen=str(said["listen"]))
        except (ValueError, KeyError, TypeError):
            return None

    def text(self) -> str:
        """The holder as one line of JSON."""
        return json.dumps(asdict(self)) + "\n"

    def __str__(self) -> str:
        since = dt.datetime.fromtimestamp(self.since, dt.UTC)
        return f"pid {self.pid} on {self.host}, since {since:%Y-%m-%d %H:%M:%S} UTC, at http://{self.listen}"


class DaemonLock(Protocol):
    """The right to move what a state database is about, from `take` until `release` or the process's end."""

    def take(self) -> str:
        """Take it, if nobody has it; empty, or who has it.

        Raises:
            InUse: another daemon has it, and there is no waiting for it here.
            DatabaseUnusable: that cannot be found out.
        """

    def held(self) -> bool:
        """Whether it is still held. Raises DatabaseUnusable when that cannot be found out."""

    def check(self, tx: Connection) -> None:
        """Refuse a transaction that changes something unless the lock is held. Raises StandsBy."""

    def release(self) -> None:
        """Let another daemon have it."""


def open_lock(database: Database, holder: Holder) -> DaemonLock:
    """The lock of a database, not taken yet."""
    if database.sqlite:
        return FileLock(database.path.with_name(FILE), holder)
    return AdvisoryLock(database, holder)


class FileLock:
    """A locked file, which says who holds it, for whoever is refused."""

    def __init__(self, path: Path, holder: Holder) -> None:
        self._path = path
        self._holder = holder
        self._fd = -1

    def take(self) -> str:
        """Take the lock and say who holds it. Raises InUse, or DatabaseUnusable when it cannot be opened."""
        try:
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            told = f"{self._path} cannot be opened: {error.strerror}; check its owner"
            raise DatabaseUnavailable(told) from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            said = os.pread(fd, _LONGEST, 0).decode(errors="replace")
            os.close(fd)
            raise AlreadyRunning(_refusal(self._path, Holder.parse(said))) from error
        with suppress(OSError):  # a full disk, say: the lock holds without the note
            os.truncate(fd, 0)
            os.pwrite(fd, self._holder.text().encode(), 0)
        self._fd = fd
        return ""

    def held(self) -> bool:
        """Nobody can take it away."""
        return self._fd >= 0

    def check(self, tx: Connection) -> None:
        """Nobody else is there: a second daemon would have been refused."""

    def release(self) -> None:
        """Let another daemon have it. The file stays: removing it would let two daemons lock two files."""
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
    """An advisory lock of one session, which is named after the daemon, so that all others see who leads.

    Sessions end when the daemon does, when its machine does not answer, or when the server restarts; the
    daemon may not know yet. Each transaction that changes something therefore begins by looking whether the
    lock is still its daemon's own: none that has lost it can write, whatever its clock and network do.
    """

    def __init__(self, database: Database, holder: Holder) -> None:
        self._database = database
        self._holder = holder
        self._session: Connection | None = None
        self._name = ""

    def take(self) -> str:
        """Take the lock if it is free; empty, or who leads. Raises DatabaseUnusable."""
        self.release()
        with self._database.translate_errors():
            session = self._session = self._database.session()
            if not session.exec_driver_sql("SELECT pg_try_advisory_lock(%s, %s)", LEADER).scalar_one():
                self.release()
                return f"leader is {self._leader() or 'not known yet'}"
            self._name = _named(self._holder, time.time())
            session.exec_driver_sql("SELECT set_config('application_name', %s, false)", (self._name,))
        # What the leader before was still writing is written after this, or never will be.
        with self._database.write():
            return ""

    def held(self) -> bool:
        """Whether the server says that it is still ours."""
        return bool(self._name) and self._leader() == self._name

    def check(self, tx: Connection) -> None:
        """Refuse a transaction while another daemon leads, or none. Raises StandsBy."""
        leader = _leader(tx)
        if not self._name or leader != self._name:
            raise NotLeader(f"this daemon stands by; changes are for the leader, {leader or 'not known yet'}")

    def release(self) -> None:
        """Give the lock back, then end the session, whose end the server may notice a little later."""
        if self._session is not None:
            with suppress(DBAPIError), self._session as session:  # it may be lost already
                if self._name:
                    session.exec_driver_sql("SELECT pg_advisory_unlock(%s, %s)", LEADER)
        self._session, self._name = None, ""

    def _leader(self) -> str:
        with self._database.read() as tx:
            return _leader(tx)


def _leader(tx: Connection) -> str:
    return tx.exec_driver_sql(_LEADER, LEADER).scalar() or ""


def _named(holder: Holder, since: float) -> str:
    """A daemon in the 63 characters that a session's name may have."""
    at = dt.datetime.fromtimestamp(since, dt.UTC)
    return f"{holder.host[:30]}:{holder.pid} since {at:%Y-%m-%d %H:%M:%S}Z"


def _refusal(path: Path, holder: Holder | None) -> str:
    who = str(holder) if holder else f"it has not said who it is, `fuser {path}` tells"
    return (
        f"another daemon serves the state directory {path.parent}: {who};"
        " end that one first, or give this one a --state-dir of its own"
    )
