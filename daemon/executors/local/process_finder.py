"""Which processes belong to an attempt, wherever they went: a look through /proc for the executor's marks."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress

from backfilld.daemon.executors.local.process import stat

RUN = "BACKFILLD_RUN"
"""The variable that marks every process of one executor; its value stands for the executor's directory."""
ATTEMPT = "BACKFILLD_ATTEMPT"

_KERNEL_THREAD_OR_EXITING = 0x00200000 | 0x00000004
_MEMORY_SECONDS = 1.0
_EXEC_SECONDS = 0.25
_LOOK_SECONDS = 0.0005


class ProcessFinder:
    """Finds the processes of an attempt by the marks in their environment, wherever they went.

    Nothing else finds a process that left its group (setsid, a double fork), so every end of a job asks. A
    look at all of /proc takes about 20 us per process, 0.1 ms in all once they are known: to keep it out of
    the price of short jobs, what a process is gets remembered for a second. No pid is given away twice in so
    short a time, as that takes a whole turn through the pids.

    A dying process loses its environment first and its open files later, and a living one can throw its
    environment away. One that was found once counts until it is dead, so look before killing.
    """

    def __init__(self, token: str) -> None:
        self._run = f"{RUN}={token}".encode()
        self._owners: dict[str, bytes] = {}
        self._forget_at = 0.0
        self._found: dict[str, tuple[bytes, int]] = {}

    def find(self, attempt: int, *, besides: int) -> list[int]:
        """Pids of the attempt's processes that are not dead yet, without its leader `besides`."""
        wanted = _mark(attempt)
        pids = os.listdir("/proc")
        if time.monotonic() >= self._forget_at:
            self._owners = {str(os.getpid()): b""}
            self._found = {pid: self._found[pid] for pid in self._found.keys() & set(pids)}
            self._forget_at = time.monotonic() + _MEMORY_SECONDS
        found = []
        for pid in pids:
            if not pid.isdigit() or int(pid) == besides or self._owners.get(pid, wanted) != wanted:
                continue
            owner = self._owner(pid)
            if owner == wanted:
                found.append(int(pid))
            else:
                self._owners[pid] = owner
        return found

    def signal(self, pid: int, attempt: int, number: int) -> None:
        """Signal a process that `find` found, if it is still the one that was found."""
        with suppress(ProcessLookupError, PermissionError):
            pidfd = os.pidfd_open(pid)
            try:
                if self._owner(str(pid)) == _mark(attempt):
                    signal.pidfd_send_signal(pidfd, number)
            finally:
                os.close(pidfd)

    def _owner(self, pid: str) -> bytes:
        """The attempt's mark of a process of this executor; empty for all others and for the dead."""
        if pid in self._found:
            mark, start = self._found[pid]
            facts = stat(pid)
            if facts is not None and facts.start == start:
                return b"" if facts.state in "ZX" else mark
            del self._found[pid]
        mark = self._mark_of(pid)
        facts = stat(pid) if mark else None
        if facts is None:
            return b""
        self._found[pid] = mark, facts.start
        return mark

    def _mark_of(self, pid: str) -> bytes:
        """The attempt's mark in the environment of a process of this executor."""
        variables = _environment(pid)
        give_up_at = time.monotonic() + _EXEC_SECONDS
        # A process in the middle of exec shows no environment for a moment, and a job that leaves something
        # behind in the background ends in that very moment.
        while not variables and _has_more_to_show(pid) and time.monotonic() < give_up_at:
            time.sleep(_LOOK_SECONDS)
            variables = _environment(pid)
        if self._run not in variables:
            return b""
        return next((entry for entry in variables if entry.startswith(_mark())), b"")


def _mark(attempt: int | str = "") -> bytes:
    return f"{ATTEMPT}={attempt}".encode()


def _environment(pid: int | str) -> list[bytes]:
    """The variables a process was started with; empty in exec and for the dead, one blank when hidden."""
    try:
        with open(f"/proc/{pid}/environ", "rb", buffering=0) as file:
            return file.read().split(b"\0")[:-1]
    except PermissionError:
        return [b""]
    except OSError:
        return []


def _has_more_to_show(pid: str) -> bool:
    """Whether a process without visible variables is alive and was not started without any."""
    facts = stat(pid)
    if facts is None or facts.state in "ZX" or facts.flags & _KERNEL_THREAD_OR_EXITING:
        return False
    return facts.env_end == 0 or facts.env_end > facts.env_start
