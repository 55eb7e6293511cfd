"""Errors of the state database as a whole, with the cause and the remedy."""

from __future__ import annotations

import os
import re
import sqlite3
from pathlib import Path

from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from backfilld.state.base_errors import UserError

LOCKS = Path("/proc/locks")
"""Where Linux lists file locks with the process that holds each."""

_WAITS = "a running daemon continues by itself once that is fixed"
_REMEDIES = {
    sqlite3.SQLITE_FULL: f"the disk is full; make room: nothing is lost, and {_WAITS}",
    sqlite3.SQLITE_READONLY: "it cannot be written; check the directory's owner, its rights and its mount",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened; check the directory's owner, its rights and its disk",
    sqlite3.SQLITE_PERM: "it cannot be opened; check the directory's owner and rights",
    sqlite3.SQLITE_IOERR: "its disk does not read or write as it should; check the kernel log (dmesg)",
    sqlite3.SQLITE_CORRUPT: "it is damaged; stop the daemon and restore the latest good backup",
    sqlite3.SQLITE_NOTADB: "it is damaged, no database at all; restore the latest good backup",
}

_SCHEMA_DAMAGE = re.compile(
    "unsupported file format|no such (table|column|index|collation sequence)|has no column named"
    "|foreign key mismatch|ON CONFLICT clause does not match|already exists"
)
"""What SQLite says of a damaged header or schema, with the code of a wrong statement. The statements of the
store are fixed, so one that its own schema refuses shows damage. Limits of a statement do not match."""
_UNDECODABLE = "Could not decode to UTF-8"
_SERVER_REMEDIES = {
    "08P01": "it does not take this session, as a pooler in statement mode; connect to the server itself,"
    " or to a pooler in session mode",
    "08": f"the connection was lost; {_WAITS}",
    "25006": "it is read-only, a replica perhaps; name the primary server",
    "3F": "its search_path names no schema that is there; create one, or correct it in the URL"
    " or of the database user",
    "42501": "the database user may not do that; make it the owner of the database",
    "53100": f"the server's disk is full; make room: nothing is lost, and {_WAITS}",
    "55P03": "another session has locked it (see pg_locks); work waits for it",
    "57P": f"the server is stopping or starting; {_WAITS}",
    "58": "its disk does not read or write as it should; check the server log",
    "XX": "it may be damaged; check the server log",
}
"""Remedies by SQLSTATE or its first characters."""


class DatabaseUnavailable(UserError):
    """The state database cannot be used at the moment; the message says why and what to do."""

    exit_code = 1


class NotLeader(DatabaseUnavailable):
    """Another daemon leads and only it may change state; the message names it."""


def translate(where: str, path: Path | None, error: Exception) -> DatabaseUnavailable | None:
    """The error of a driver as DatabaseUnavailable; None if it concerns only one statement.

    `where` names the database in the message; `path` is the file of an SQLite database.
    """
    cause = error.orig if isinstance(error, DBAPIError) else error
    if path is not None and (isinstance(cause, UnicodeDecodeError) or _UNDECODABLE in str(cause)):
        # Python's driver decodes texts, and the messages that quote them, without an error code of SQLite.
        return DatabaseUnavailable(f"{where}: {_REMEDIES[sqlite3.SQLITE_CORRUPT]} ({cause!r})")
    if isinstance(error, IntegrityError) or isinstance(cause, sqlite3.IntegrityError):
        return None
    if isinstance(cause, OSError):
        return DatabaseUnavailable(f"{where}: {cause.strerror or cause}; check the directory and its disk")
    if not isinstance(cause, sqlite3.Error):
        return _server_error(where, error, cause)
    code = getattr(cause, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return DatabaseUnavailable(
            f"{where}: another process has locked it{_lock_holders(path)}; work waits for it"
        )
    if code == sqlite3.SQLITE_ERROR and _SCHEMA_DAMAGE.search(str(cause)):
        code = sqlite3.SQLITE_CORRUPT
    remedy = _REMEDIES.get(code)
    return DatabaseUnavailable(f"{where}: {remedy} ({cause})") if remedy else None


def _server_error(where: str, error: Exception, cause: BaseException | None) -> DatabaseUnavailable | None:
    """The same for PostgreSQL, by SQLSTATE."""
    state = getattr(cause, "sqlstate", None) or ""
    remedies = [words for prefix, words in _SERVER_REMEDIES.items() if state.startswith(prefix)]
    if isinstance(error, PoolTimeout):
        remedies = [f"it does not answer, and no more sessions are opened; check the server; {_WAITS}"]
    if not remedies and isinstance(error, OperationalError) and not state:
        # A refused connection has a localized message and no SQLSTATE.
        what = "the server, and database, user, password and options of the URL"
        remedies = [f"no session: check {what}; {_WAITS}"]
    message = " ".join(str(cause).split())
    return DatabaseUnavailable(f"{where}: {remedies[0]} ({message})") if remedies else None


def _lock_holders(path: Path | None) -> str:
    """The other processes that hold the write lock, as a part of the message; empty if unknown."""
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
    """Device and inode of a file in the format of `/proc/locks`; empty if it does not exist."""
    try:
        stat = path.stat()
    except OSError:
        return ""
    return f"{os.major(stat.st_dev):02x}:{os.minor(stat.st_dev):02x}:{stat.st_ino}"
