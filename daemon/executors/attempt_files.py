"""Files about attempts, readable by their owner only.

A job can write wherever the daemon can. A file is therefore opened without following links and without
waiting, and counts only if it is a plain file with one name: a job must not be able to stop the daemon, or to
have it show another file, by putting something else in the place of its log.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
from dataclasses import dataclass
from pathlib import Path

KEPT_BYTES = 1 << 20
"""The most that is kept of each end of a log that grew too long."""
_SAFELY = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFDIR: "a directory",
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def attempt_file(root: Path, attempt: int, kind: str) -> Path:
    """The path of a file about an attempt, such as its `log`. A folder holds a thousand attempts."""
    return root / f"{attempt // 1000:03d}/{attempt}.{kind}"


def private_opener(path: str, flags: int) -> int:
    """An `opener` for `open` that creates files which only their owner may read. It follows no link."""
    return os.open(path, flags | _SAFELY, 0o600)


def open_plain(path: Path) -> int:
    """A descriptor for reading a file that is in its folder under its only name.

    Raises:
        OSError: it does not exist or cannot be read, or the path or its folder is a link or anything else but
            a file, or the file has another name.
    """
    folder = _open_folder(path.parent)
    try:
        fd = os.open(path.name, os.O_RDONLY | _SAFELY, dir_fd=folder)
    except OSError as error:
        if error.errno not in {errno.ELOOP, errno.ENXIO}:  # a link; a socket
            raise
        raise _not_plain(path, os.stat(path.name, dir_fd=folder, follow_symlinks=False)) from error
    finally:
        os.close(folder)
    facts = os.fstat(fd)
    if stat.S_ISREG(facts.st_mode) and facts.st_nlink <= 1:
        return fd
    os.close(fd)
    raise _not_plain(path, facts)


def create(path: Path) -> int:
    """A descriptor for appending to a new file in the place of whatever was there. Raises OSError."""
    try:
        folder = _open_folder(path.parent)
    except FileNotFoundError:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = _open_folder(path.parent)
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | _SAFELY
    try:
        try:
            return os.open(path.name, flags, 0o600, dir_fd=folder)
        except FileExistsError:
            os.unlink(path.name, dir_fd=folder)
            return os.open(path.name, flags, 0o600, dir_fd=folder)
    finally:
        os.close(folder)


def replace(path: Path, text: str) -> None:
    """Write a file atomically: a reader sees all of the old text or all of the new. Raises OSError."""
    new = path.with_suffix(".new")
    new.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(new, "w", encoding="utf-8", errors="replace", opener=private_opener) as file:
        file.write(text)
    new.replace(path)


class OpenLog:
    """The descriptor of a log, for several threads. It stays the log when its path is moved or replaced."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._lock = threading.Lock()

    def facts(self) -> os.stat_result | None:
        """Size and times; None once it is closed."""
        with self._lock:
            return os.fstat(self._fd) if self._fd >= 0 else None

    def read(self, start: int, length: int) -> bytes | None:
        """At most `length` bytes from byte `start`; None once it is closed. Raises OSError."""
        with self._lock:
            return os.pread(self._fd, length, start) if self._fd >= 0 else None

    def shorten(self, most: int) -> None:
        """Cut the middle out of a log of more than `most` bytes, and say so there. Raises OSError.

        The job goes on appending. What it writes during the call may be lost.
        """
        with self._lock:
            size = os.fstat(self._fd).st_size if self._fd >= 0 else 0
            if size <= most:
                return
            kept = min(most // 4, KEPT_BYTES)
            tail = os.pread(self._fd, kept, size - kept)
            os.ftruncate(self._fd, kept)
            dropped = f"\n[backfilld: {size - 2 * kept} bytes were dropped here: max_log_bytes is {most}]\n"
            os.write(self._fd, dropped.encode() + tail)

    def close(self) -> None:
        """Close the descriptor. Idempotent."""
        with self._lock:
            if self._fd >= 0:
                os.close(self._fd)
            self._fd = -1


@dataclass(frozen=True, slots=True)
class FileLog:
    """A job's log in a local file."""

    path: Path
    source: OpenLog | None = None
    """The descriptor to read while it is open, instead of the path."""

    def size(self) -> int | None:
        """Bytes so far; None when the file does not exist. Raises OSError if it cannot be read."""
        if self.source is not None and (facts := self.source.facts()) is not None:
            return facts.st_size
        try:
            fd = open_plain(self.path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        try:
            return os.fstat(fd).st_size
        finally:
            os.close(fd)

    def read(self, start: int, length: int) -> bytes:
        """At most `length` bytes from byte `start`. Raises OSError if the file cannot be read."""
        if self.source is not None and (chunk := self.source.read(start, length)) is not None:
            return chunk
        fd = open_plain(self.path)
        try:
            return os.pread(fd, length, start)
        finally:
            os.close(fd)


def _open_folder(folder: Path) -> int:
    try:
        return os.open(folder, os.O_PATH | os.O_DIRECTORY | _SAFELY)
    except NotADirectoryError as error:
        raise _not_plain(folder, folder.lstat()) from error


def _not_plain(path: Path, facts: os.stat_result) -> OSError:
    kind = _KINDS.get(stat.S_IFMT(facts.st_mode), "a file that has another name too (a hard link)")
    place = "/".join(path.parts[-2:])
    return OSError(errno.EINVAL, f"{place} is {kind} now and is not read: a job may have put it there")
