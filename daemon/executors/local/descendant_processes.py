"""Finds all processes of an attempt by marks that a child inherits, and by their parents."""

from __future__ import annotations

import hashlib
import os
import resource
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache

from backfilld.daemon.executors.process_identity import Identity, ProcessStat, stat

RUN = "BACKFILLD_RUN"
"""The variable that marks every process of one executor; its value identifies the executor's directory."""
ATTEMPT = "BACKFILLD_ATTEMPT"

_KERNEL_THREAD_OR_EXITING = 0x00200000 | 0x00000004
_NAMES = tuple(f"\0{name}=".encode() for name in (RUN, ATTEMPT))
_CACHE_SECONDS = 1.0
_EXEC_SECONDS = 0.25
_RETRY_SECONDS = 0.0005
_LIMIT = resource.RLIMIT_RTTIME
_LEAST_LIMIT = 1 << 62
"""Microseconds of real-time CPU, some 146,000 years: no job notices such a limit."""


@dataclass(frozen=True, slots=True)
class Marks:
    """What the processes of one attempt inherit.

    Every child gets the variables, unless it is started with another environment. Every child gets the
    resource limit, whatever its environment, session, parent and open files are, unless it lowers the limit.
    """

    limit: int
    variables: bytes

    @classmethod
    def of(cls, leader: Identity, attempt: int) -> Marks:
        """The marks of the attempt with this leader. They stay the same when its directory is moved."""
        text = f"{leader.boot}:{leader.namespace}:{leader.pid}:{leader.start}"
        number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:7])
        token = run_token(leader.folder)
        return cls(_LEAST_LIMIT | number, f"{RUN}={token}\0{ATTEMPT}={attempt}".encode())

    def put_on(self, pid: int) -> None:
        """Mark a process by the limit, which its children inherit; do nothing where that is forbidden."""
        with suppress(OSError, ValueError):  # such as in a sandbox, or under a lower hard limit
            resource.prlimit(pid, _LIMIT, (self.limit, self.limit))

    def match(self, other: Marks) -> bool:
        """Whether a process with these marks belongs to the attempt."""
        by_limit = self.limit and other.limit == self.limit
        return bool(by_limit or (self.variables and other.variables == self.variables))


_UNMARKED = Marks(0, b"")


@cache
def run_token(root: str) -> str:
    """The value of RUN for jobs of the executor in this directory."""
    return hashlib.sha256(os.fsencode(root)).hexdigest()[:16]


def processes() -> set[str]:
    """The names in /proc, which include all pids. The kernel takes 0.1 ms for a few hundred."""
    return set(os.listdir("/proc"))


class ProcessFinder:
    """Finds the processes of an attempt, including those that left its process group or session.

    /proc is scanned whenever a job ends. A scan takes about 20 us per unknown process, and 0.1 ms for the
    list of all. To keep short jobs cheap, the marks of a process, or that it has none, are cached for a
    second. A pid is not reused in that time, as the kernel first has to cycle through all pids.

    A dying process loses its environment before its open files, and a living process can change its marks. A
    process that was found once therefore counts until it is dead: find before you kill.
    """

    def __init__(self) -> None:
        self._unmarked: set[str] = set()
        self._marks: dict[str, Marks] = {}
        self._cache_expires_at = 0.0
        self._known: dict[str, tuple[Marks, int]] = {}

    def find(self, marks: Marks, *, excluding: int, among: set[str] | None = None) -> list[int]:
        """Pids of the attempt's processes that are not dead, without its leader `excluding`.

        `among` is what `processes` returned once its leader had ended; by default what it returns now.
        """
        names = processes() if among is None else among
        if time.monotonic() >= self._cache_expires_at:
            self._unmarked, self._marks = {str(os.getpid())}, {}
            self._known = {pid: self._known[pid] for pid in self._known.keys() & names}
            self._cache_expires_at = time.monotonic() + _CACHE_SECONDS
        members = []
        for pid in names - self._unmarked:
            if not pid.isdigit():
                self._unmarked.add(pid)
                continue
            if int(pid) == excluding or not marks.match(self._marks.get(pid, marks)):
                continue
            found = self._marks_of(pid)
            if marks.match(found):
                members.append(int(pid))
            elif found == _UNMARKED:
                self._unmarked.add(pid)
            else:
                self._marks[pid] = found
        return members

    def find_family(self, marks: Marks, *, leader: int) -> list[int]:
        """As `find`, with the leader's session and all descendants, which from now on count as marked.

        It reads the facts about every process, and finds a child without marks only while its parent lives.
        """
        members = {leader, *self.find(marks, excluding=leader)}
        facts = {int(pid): found for pid in os.listdir("/proc") if pid.isdigit() and (found := stat(pid))}
        for pid, of in _family(facts, members, session=leader):
            self._known[str(pid)] = marks, of.start
            members.add(pid)
        return sorted(members - {leader})

    def signal(self, pid: int, marks: Marks, number: int) -> None:
        """Signal a process that was found, unless its pid was reused since."""
        with suppress(ProcessLookupError, PermissionError):
            pidfd = os.pidfd_open(pid)
            try:
                if marks.match(self._marks_of(str(pid))):
                    signal.pidfd_send_signal(pidfd, number)
            finally:
                os.close(pidfd)

    def _marks_of(self, pid: str) -> Marks:
        """The marks of a process; none for the dead."""
        if pid in self._known:
            marks, start = self._known[pid]
            facts = stat(pid)
            if facts is not None and facts.start == start:
                return _UNMARKED if facts.state in "ZX" else marks
            del self._known[pid]
        marks = _read_marks(pid)
        facts = stat(pid) if marks != _UNMARKED else None
        if facts is None or facts.state in "ZX":
            return _UNMARKED
        self._known[pid] = marks, facts.start
        return marks


def _family(
    facts: dict[int, ProcessStat], members: Iterable[int], *, session: int
) -> list[tuple[int, ProcessStat]]:
    """The living processes of the session, and all descendants of it and of the members."""
    children: dict[int, list[int]] = {}
    for pid, of in facts.items():
        children.setdefault(of.parent, []).append(pid)
    family: dict[int, ProcessStat] = {}
    waiting = [*members, *(pid for pid, of in facts.items() if of.session == session)]
    while waiting:
        pid = waiting.pop()
        if pid in family or pid not in facts:
            continue
        family[pid] = facts[pid]
        waiting += children.get(pid, [])
    return [(pid, of) for pid, of in family.items() if of.state not in "ZX"]


def is_marked(pid: int) -> bool:
    """Whether the process belongs to a job, dead or alive, by the limit that it inherited."""
    return bool(_read_limit(pid))


def _read_limit(pid: int) -> int:
    """The limit that marks a process; 0 without one."""
    try:
        _, limit = resource.prlimit(pid, _LIMIT)
    except (OSError, ValueError):  # gone, or of another user
        return 0
    return limit if limit >= _LEAST_LIMIT else 0


def _read_marks(pid: str) -> Marks:
    limit = _read_limit(int(pid))
    return Marks(limit, _read_variables(pid, wait=not limit))


def _read_variables(pid: str, *, wait: bool) -> bytes:
    """The markers in the environment of a process; empty without them."""
    variables = _environment(pid)
    give_up_at = time.monotonic() + _EXEC_SECONDS
    # During exec a process shows no environment for a moment. A job that leaves a background process
    # behind ends in just that moment.
    while wait and not variables and _environment_expected(pid) and time.monotonic() < give_up_at:
        time.sleep(_RETRY_SECONDS)
        variables = _environment(pid)
    run, attempt = (_variable(variables, name) for name in _NAMES)
    return run[1:] + attempt if run and attempt else b""


def _variable(variables: bytes, name: bytes) -> bytes:
    """The first variable with a name, as NUL, name, `=`, value; empty without it."""
    start = variables.find(name)
    end = variables.find(b"\0", start + 1)
    return variables[start:end] if start >= 0 and end >= 0 else b""


def _environment(pid: int | str) -> bytes:
    """The initial variables of a process, each after a NUL, with one more at the end.

    Empty during exec and for the dead, a NUL when they may not be read.
    """
    try:
        with open(f"/proc/{pid}/environ", "rb", buffering=0) as file:
            variables = file.read()
    except PermissionError:
        return b"\0"
    except OSError:
        return b""
    return b"\0" + variables if variables else b""


def _environment_expected(pid: str) -> bool:
    """Whether a process without visible variables is alive and was started with some."""
    facts = stat(pid)
    if facts is None or facts.state in "ZX" or facts.flags & _KERNEL_THREAD_OR_EXITING:
        return False
    return facts.env_end == 0 or facts.env_end > facts.env_start
