"""What keeps the state database from being used, in words for whoever is called at night."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from backfilld.state.errors import UserError

LOCKS = Path("/proc/locks")
"""Where Linux lists every lock on a file, with the process that holds it."""

_REMEDIES = {
    sqlite3.SQLITE_FULL: "the disk is full; make room: nothing is lost, and work goes on by itself",
    sqlite3.SQLITE_READONLY: "it cannot be written; check the directory's owner, its rights and its mount",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened; check the directory's owner, its rights and its disk",
    sqlite3.SQLITE_PERM: "it cannot be opened; check the directory's owner and rights",
    sqlite3.SQLITE_IOERR: "its disk does not read or write as it should; look at the kernel's log (dmesg)",
    sqlite3.SQLITE_CORRUPT: "it is damaged; stop the daemon and restore the latest good backup",
    sqlite3.SQLITE_NOTADB: "it is damaged, no database at all; restore the latest good backup",
}

_WAITS = "work goes on by itself once that is mended"
_SERVER_REMEDIES = {
    "08": f"the connection was lost; {_WAITS}",
    "25006": "it is read-only, a replica perhaps; name the primary server",
    "42501": "our user may not do that; make it the owner of the database",
    "53100": f"the server's disk is full; make room: nothing is lost, and {_WAITS}",
    "55P03": "another session has locked it (pg_locks tells); work waits for it",
    "57P": f"the server is stopping or starting; {_WAITS}",
    "58": "its disk does not read or write as it should; look at the server's log",
    "XX": "it may be damaged; look at the server's log",
}
"""By SQLSTATE, or what it begins with."""


class DatabaseUnavailable(UserError):
    """The state database cannot be used (now); the message says why and what to do."""


class NotLeader(DatabaseUnavailable):
    """Another daemon leads and alone may change anything; the message says who."""


def translate(where: str, path: Path | None, error: Exception) -> DatabaseUnavailable | None:
    """The error in plain words when it is about the database as a whole; None when it is about a statement.

    `where` names the database for people; `path` is its file, where it is one.
    """
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(error, IntegrityError) or isinstance(cause, sqlite3.IntegrityError):
        return None
    if isinstance(cause, OSError):
        return DatabaseUnavailable(f"{where}: {cause.strerror or cause}; check the directory and its disk")
    if not isinstance(cause, sqlite3.Error):
        return _of_server(where, error, cause)
    code = getattr(cause, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return DatabaseUnavailable(
            f"{where}: another process has locked it{_by_whom(path)}; work waits for it"
        )
    remedy = _REMEDIES.get(code)
    return DatabaseUnavailable(f"{where}: {remedy} ({cause})") if remedy else None


def _of_server(where: str, error: Exception, cause: BaseException | None) -> DatabaseUnavailable | None:
    """The error of a database server in plain words; None when it is about a statement."""
    state = getattr(cause, "sqlstate", None) or ""
    remedies = [words for prefix, words in _SERVER_REMEDIES.items() if state.startswith(prefix)]
    if not remedies and isinstance(error, OperationalError) and not state:
        # The server refuses a session in its own language, without a SQLSTATE.
        remedies = [f"no session: check the server, and database, user and password of the URL; {_WAITS}"]
    told = " ".join(str(cause).split())
    return DatabaseUnavailable(f"{where}: {remedies[0]} ({told})") if remedies else None


def _by_whom(path: Path | None) -> str:
    """Who else holds the right to write, as far as the kernel tells."""
    if path is None:
        return ""
    wanted = {_inode(path.with_name(path.name + suffix)) for suffix in ("", "-shm")} - {""}
    try:
        lines = [line.split() for line in LOCKS.read_text("ascii").splitlines()]
    except OSError:
        return ""
    held = [words for words in lines if len(words) >= 8 and words[-5] == "WRITE" and words[-3] in wanted]
    pids = {words[-4] for words in held} - {str(os.getpid())}
    return f": pid {', '.join(sorted(pids, key=int))}" if pids else ""


def _inode(path: Path) -> str:
    """A file as `/proc/locks` names it: device and inode."""
    try:
        found = path.stat()
    except OSError:
        return ""
    return f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
