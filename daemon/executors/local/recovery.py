"""Finds the process and the log of an attempt that an earlier daemon started."""

from __future__ import annotations

import fcntl
import json
import os
import stat
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from backfilld.daemon.executors.attempt_files import OpenLog, attempt_file, open_plain, replace
from backfilld.daemon.executors.process_identity import Identity, boot_id, executor_id

_LEFT_RUNNING = "left-running.json"


def lock_directory(root: Path) -> int:
    """A descriptor that says, until it is closed, that an executor on this host serves the directory."""
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    with suppress(OSError):  # a filesystem without locks
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    return fd


def keep_left_running(root: Path, attempts: Collection[int]) -> None:
    """Record which attempts run on while the daemon stops in order, for `take_left_running` of the next one.

    Without it, as on a full disk, they are treated as after a crash of the daemon.
    """
    if not attempts:
        return
    with suppress(OSError):
        replace(root / _LEFT_RUNNING, json.dumps(sorted(attempts)))


def take_left_running(root: Path) -> frozenset[int]:
    """The recorded attempts, once: a daemon that crashes later leaves none."""
    path = root / _LEFT_RUNNING
    try:
        with open(open_plain(path), encoding="ascii") as file:
            found = json.load(file)
        path.unlink()
    except (OSError, ValueError):
        return frozenset()
    return frozenset(number for number in found if isinstance(number, int))


def locate(identity: Identity, *, log: Path, root: Path) -> int | None:
    """A pidfd of an attempt's process, for the executor in `root`; None when it belongs to another one.

    Same boot, same pid namespace, same pid and same start are the same process, whatever the host or the
    directory is called now. The names count only where the kernel hides the ids of boot and namespace.

    Raises:
        ProcessLookupError: it does not run any more; the message says why.
        OSError: it cannot be known now, such as without free descriptors.
    """
    known = bool(identity.boot and boot_id())
    same_names = identity.executor == executor_id(root)
    if identity.visible and (identity.root == root or not _served(identity.root)):
        return identity.open()
    if not known and same_names:
        return identity.open()
    if known and identity.boot != boot_id() and same_names:
        raise ProcessLookupError("the machine was restarted")
    if not identity.visible and _unlocked(identity, log):
        raise ProcessLookupError("its machine or container was stopped")
    return None


def exit_file(identity: Identity, path: Path) -> Path:
    """Where the exit code of an attempt is: at `path`, or in a directory that no executor serves any more."""
    if path.exists():
        return path
    there = attempt_file(identity.root, int(path.stem), "exit")
    return there if there.exists() else path


def open_log(identity: Identity, path: Path) -> OpenLog | None:
    """The log of an attempt, by its process or else by its path; None if neither leads to it."""
    try:
        fd = os.open(f"/proc/{identity.pid}/fd/1", os.O_RDWR | os.O_APPEND | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        pass
    else:
        if _is_log(fd, identity):
            return OpenLog(fd)
        os.close(fd)
    try:
        return OpenLog(open_plain(path))
    except OSError:
        return None


def _served(root: Path) -> bool:
    """Whether an executor on this host has the directory open."""
    try:
        fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:  # such as another user's
        return True
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(fd)
    return False


def _is_log(fd: int, identity: Identity) -> bool:
    """Whether the descriptor is the log. A pid that was reused has other output."""
    facts = os.fstat(fd)
    return stat.S_ISREG(facts.st_mode) and facts.st_ino == identity.log


def _unlocked(identity: Identity, path: Path) -> bool:
    """Whether the log here is that of the attempt, and no process of the attempt keeps it locked."""
    if not identity.log:
        return False
    try:
        fd = open_plain(path)
    except OSError:
        return False
    try:
        if os.fstat(fd).st_ino != identity.log:
            return False
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    else:
        return True
    finally:
        os.close(fd)
