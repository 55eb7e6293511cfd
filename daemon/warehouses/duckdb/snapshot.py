"""Private copies of a DuckDB file, so that the daemon never locks the file that jobs write.

DuckDB gives a writer the whole file: while another process reads it, even for a moment, a job cannot open it
and fails. A copy takes no lock. It is made while no writer has the file open, and discarded where the file
changed meanwhile, so that it is what DuckDB last committed. It is made again once the file has changed.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

import duckdb

from backfilld.daemon.warehouses.adapter import WarehouseError
from backfilld.daemon.warehouses.duckdb.settings import CREATE, missing_file
from backfilld.daemon.warehouses.sql.duckdb_session import SETTINGS, restrict
from backfilld.state.formatting import first_line

LOCK_WAIT = 5.0
"""Seconds to wait for a writer to close the file, before the query is put off."""
POLL_INTERVAL = 0.05
CLOCK_TICK = 0.05
"""Seconds within which two writes may leave the same time of change: several ticks of a kernel's clock."""

_FLOCK = "hhqqi"
"""`struct flock` of 64-bit Linux: type, whence, start, length, pid."""
_FileFacts = tuple[tuple[str, int, int, int], ...]


class Snapshots:
    """The latest committed state of one file. Safe to call from several threads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._facts: _FileFacts = ()
        self._connection: duckdb.DuckDBPyConnection | None = None

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A connection to the state that the file has now; the caller closes it.

        Raises:
            WarehouseError: there is no such file, a process has it open to write, or it cannot be read.
        """
        with self._lock:
            try:
                if self._connection is None or self._facts != _facts(self.path):
                    self.close()
                    self._facts, self._connection = self._copied()
                return self._connection.cursor()
            except (OSError, duckdb.Error) as error:
                if isinstance(error, FileNotFoundError) and not self.path.exists():
                    raise _missing(self.path) from error
                text = f"{self.path} cannot be read: {first_line(str(error))}; check warehouse.file"
                raise WarehouseError(text) from error

    def close(self) -> None:
        """Discard the copy; cursors that are open keep it for themselves. Idempotent."""
        with self._lock:
            self._connection = None  # `close` would wait for their queries, or fail

    def _copied(self) -> tuple[_FileFacts, duckdb.DuckDBPyConnection]:
        """A copy, with the facts of the file that it was made of.

        Raises:
            WarehouseError: a process has the file open to write, or writes it again and again.
            OSError: the file cannot be read.
            duckdb.Error: it is not a file of this version of DuckDB.
        """
        until = time.monotonic() + LOCK_WAIT
        while True:
            writer = _writer(self.path)
            if writer is None:
                with (
                    tempfile.TemporaryDirectory(prefix="backfilld-") as folder,
                    suppress(FileNotFoundError),  # a job that ended has removed the write-ahead log
                ):
                    before = _facts(self.path)
                    for name, *_ in before:
                        shutil.copyfile(self.path.parent / name, Path(folder, name))
                    if _writer(self.path) is None and _facts(self.path) == before:
                        # DuckDB has the copy open, so that its space is freed when the connection closes.
                        return before, _connected(Path(folder, self.path.name))
            if time.monotonic() >= until:
                raise WarehouseError(_in_use(self.path, writer))
            time.sleep(POLL_INTERVAL)


def _connected(copy: Path) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(str(copy), read_only=True, config=dict(SETTINGS))
    connection.execute("SET temp_directory = $folder", {"folder": f"{copy.parent}.spill"})
    restrict(connection)
    return connection


def _facts(path: Path) -> _FileFacts:
    """Name, size, time of change in ns and inode of the file and of its write-ahead logs.

    Raises:
        OSError: there is no such file, or it cannot be reached.
    """
    found = [(path.name, path.stat())]
    for log in sorted(path.parent.glob(f"{path.name}.wal*")):
        with suppress(FileNotFoundError):  # a job that ended has removed it
            found.append((log.name, log.stat()))
    age = time.time() - max(status.st_mtime for _, status in found)
    if 0 <= age < CLOCK_TICK:
        time.sleep(CLOCK_TICK)  # a write that followed at once would not show
    return tuple((name, status.st_size, status.st_mtime_ns, status.st_ino) for name, status in found)


def _writer(path: Path) -> int | None:
    """The process that has the file open to write, by DuckDB's own lock; None without one. Takes no lock.

    Raises:
        OSError: the file cannot be opened.
    """
    with path.open("rb") as file:
        wanted = struct.pack(_FLOCK, fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0)
        kind, *_, pid = struct.unpack(_FLOCK, fcntl.fcntl(file, fcntl.F_GETLK, wanted))
    return None if kind == fcntl.F_UNLCK else pid


def _missing(path: Path) -> WarehouseError:
    return WarehouseError(missing_file(path), hint=CREATE, permanent=True)


def _in_use(path: Path, writer: int | None) -> str:
    if writer is None:
        return f"{path} changes faster than it can be copied"
    return f"{path} is being written by process {writer}, and cannot be read until that closes it"
