"""Finds the process and the log of an attempt that an earlier daemon started."""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path

from backfilld.daemon.executors.attempt_files import OpenLog, open_plain
from backfilld.daemon.executors.process_identity import Identity, boot_id


def locate(identity: Identity, *, log: Path, here: str) -> int | None:
    """A pidfd of an attempt's process; None when it may run where this process cannot see it.

    `here` is the executor's id, and decides only where the kernel hides the ids of boot and namespace.

    Raises:
        ProcessLookupError: it does not run any more; the message says why.
        OSError: it cannot be known now, such as without free descriptors.
    """
    known = bool(identity.boot and boot_id())
    if identity.visible or (not known and identity.executor == here):
        return identity.open()
    if known and identity.boot != boot_id() and identity.executor == here:
        raise ProcessLookupError("the machine was restarted")
    if _unlocked(identity, log):
        raise ProcessLookupError("its machine or container was stopped")
    return None


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
