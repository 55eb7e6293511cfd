"""Finds all processes of an attempt by the markers in their environment."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress

from backfilld.daemon.executors.process_identity import stat

RUN = "BACKFILLD_RUN"
"""The variable that marks every process of one executor; its value identifies the executor's directory."""
ATTEMPT = "BACKFILLD_ATTEMPT"

_KERNEL_THREAD_OR_EXITING = 0x00200000 | 0x00000004
_CACHE_SECONDS = 1.0
_EXEC_SECONDS = 0.25
_RETRY_SECONDS = 0.0005


class ProcessFinder:
    """Finds the processes of an attempt, including those that left its process group or session.

    Only the environment identifies a process after setsid or a double fork, so /proc is scanned whenever a
    job ends. A scan takes about 20 us per unknown process and 0.1 ms in all for known ones. To keep short
    jobs cheap, the owner of each process is cached for a second. A pid is not reused in that time, as the
    kernel first has to cycle through all pids.

    A dying process loses its environment before its open files, and a living process can clear its
    environment. A process that was found once therefore counts until it is dead: find before you kill.
    """

    def __init__(self, token: str) -> None:
        self._run = f"{RUN}={token}".encode()
        self._owners: dict[str, bytes] = {}
        self._cache_expires_at = 0.0
        self._known: dict[str, tuple[bytes, int]] = {}

    def find(self, attempt: int, *, excluding: int) -> list[int]:
        """Pids of the attempt's processes that are not dead, without its leader `excluding`."""
        marker = _marker(attempt)
        pids = os.listdir("/proc")
        if time.monotonic() >= self._cache_expires_at:
            self._owners = {str(os.getpid()): b""}
            self._known = {pid: self._known[pid] for pid in self._known.keys() & set(pids)}
            self._cache_expires_at = time.monotonic() + _CACHE_SECONDS
        members = []
        for pid in pids:
            if not pid.isdigit() or int(pid) == excluding or self._owners.get(pid, marker) != marker:
                continue
            owner = self._owner(pid)
            if owner == marker:
                members.append(int(pid))
            else:
                self._owners[pid] = owner
        return members

    def signal(self, pid: int, attempt: int, number: int) -> None:
        """Signal a process that `find` returned, unless its pid was reused since."""
        with suppress(ProcessLookupError, PermissionError):
            pidfd = os.pidfd_open(pid)
            try:
                if self._owner(str(pid)) == _marker(attempt):
                    signal.pidfd_send_signal(pidfd, number)
            finally:
                os.close(pidfd)

    def _owner(self, pid: str) -> bytes:
        """The attempt's marker of a process of this executor; empty for all others and for the dead."""
        if pid in self._known:
            marker, start = self._known[pid]
            facts = stat(pid)
            if facts is not None and facts.start == start:
                return b"" if facts.state in "ZX" else marker
            del self._known[pid]
        marker = self._read_marker(pid)
        facts = stat(pid) if marker else None
        if facts is None:
            return b""
        self._known[pid] = marker, facts.start
        return marker

    def _read_marker(self, pid: str) -> bytes:
        """The attempt's marker in the environment of a process of this executor; empty for all others."""
        variables = _environment(pid)
        give_up_at = time.monotonic() + _EXEC_SECONDS
        # During exec a process shows no environment for a moment. A job that leaves a background process
        # behind ends in just that moment.
        while not variables and _environment_expected(pid) and time.monotonic() < give_up_at:
            time.sleep(_RETRY_SECONDS)
            variables = _environment(pid)
        if self._run not in variables:
            return b""
        return next((entry for entry in variables if entry.startswith(_marker())), b"")


def _marker(attempt: int | str = "") -> bytes:
    return f"{ATTEMPT}={attempt}".encode()


def _environment(pid: int | str) -> list[bytes]:
    """The initial variables of a process; empty during exec and for the dead, one blank when not readable."""
    try:
        with open(f"/proc/{pid}/environ", "rb", buffering=0) as file:
            return file.read().split(b"\0")[:-1]
    except PermissionError:
        return [b""]
    except OSError:
        return []


def _environment_expected(pid: str) -> bool:
    """Whether a process without visible variables is alive and was started with some."""
    facts = stat(pid)
    if facts is None or facts.state in "ZX" or facts.flags & _KERNEL_THREAD_OR_EXITING:
        return False
    return facts.env_end == 0 or facts.env_end > facts.env_start
