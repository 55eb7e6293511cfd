"""One daemon per state database: whoever serves it holds a lock that the kernel frees with the process.

The file says who holds it, for whoever is refused; what it says counts only while it is locked. Several
machines that share a PostgreSQL database would hold its advisory lock here instead.
"""

from __future__ import annotations

import datetime as dt
import fcntl
import json
import os
import socket
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from state.store.database import Database
from state.store.faults import DatabaseUnusable

FILE = "daemon.lock"
_LONGEST = 4096


class InUse(Exception):
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


class DaemonLock:
    """The right to serve one state database, from when it is made until `release` or the process's end."""

    def __init__(self, database: Database, holder: Holder) -> None:
        """Take the lock and say who holds it.

        Raises:
            InUse: another daemon holds it.
            DatabaseUnusable: the lock's file cannot be opened.
        """
        path = database.path.with_name(FILE)
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise DatabaseUnusable(f"{path} cannot be opened: {error.strerror}; check its owner") from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            said = os.pread(self._fd, _LONGEST, 0).decode(errors="replace")
            os.close(self._fd)
            raise InUse(_refusal(path, Holder.parse(said))) from error
        with suppress(OSError):  # a full disk, say: the lock holds without the note
            os.truncate(self._fd, 0)
            os.pwrite(self._fd, holder.text().encode(), 0)

    def release(self) -> None:
        """Let another daemon have it. The file stays: removing it would let two daemons lock two files."""
        os.close(self._fd)


def _refusal(path: Path, holder: Holder | None) -> str:
    who = str(holder) if holder else f"it has not said who it is, `fuser {path}` tells"
    return (
        f"another daemon serves the state directory {path.parent}: {who};"
        " end that one first, or give this one a --state-dir of its own"
    )
