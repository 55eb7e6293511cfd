"""Facts about single processes: their identity, whether they live, and how they ended."""

from __future__ import annotations

import functools
import json
import os
import resource
import select
import signal
import socket
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from errno import EINVAL, ENOENT
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessStat:
    """The fields of /proc/<pid>/stat; `start` is in clock ticks since boot."""

    state: str
    parent: int
    session: int
    flags: int
    start: int
    env_start: int
    env_end: int


def stat(pid: int | str) -> ProcessStat | None:
    """The facts about a process, or None when it does not exist."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:  # a Path costs more than the reading
            text = file.read()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The command's name is in parentheses and may contain blanks and parentheses: count from the last one.
    fields = text[text.rindex(b")") + 2 :].split()
    parent, session, flags, start, env_start, env_end = (
        int(fields[number - 3]) for number in (4, 6, 9, 22, 50, 51)
    )
    return ProcessStat(
        state=fields[0].decode(),
        parent=parent,
        session=session,
        flags=flags,
        start=start,
        env_start=env_start,
        env_end=env_end,
    )


@functools.cache
def boot_id() -> str:
    """The kernel's id of this boot; empty where a sandbox hides it."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""


@functools.cache
def pid_namespace() -> str:
    """The kernel's id of the namespace in which this process sees pids; empty where a sandbox hides it."""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def executor_id(root: Path) -> str:
    """The id of an executor in identities: its host and its directory, a path without links."""
    return f"{socket.gethostname()}:{root}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A process, identified beyond its pid, which the kernel reuses. `at` is its launch in epoch seconds."""

    pid: int
    start: int
    boot: str
    at: float
    executor: str
    """The `executor_id` of the executor that started it."""
    namespace: str = ""
    """The `pid_namespace` of the pid: a container has its own."""
    log: int = 0
    """The inode of its log, which the process keeps locked (flock); 0 if it is not locked."""

    @classmethod
    def of(cls, pid: int, *, at: float, executor: str, log: int = 0) -> Identity:
        """The identity of a process that exists. Raises ProcessLookupError when it does not."""
        facts = stat(pid)
        if facts is None:
            raise ProcessLookupError(f"no process {pid}")
        return cls(
            pid=pid,
            start=facts.start,
            boot=boot_id(),
            at=at,
            executor=executor,
            namespace=pid_namespace(),
            log=log,
        )

    @classmethod
    def parse(cls, text: str) -> Identity:
        """Parse what `text` returned. Raises ValueError for anything else."""
        try:
            fields = json.loads(text)
            return cls(
                pid=int(fields["pid"]),
                start=int(fields["start"]),
                boot=str(fields["boot"]),
                at=float(fields["at"]),
                executor=str(fields["executor"]),
                namespace=str(fields["namespace"]),
                log=int(fields["log"]),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"not a process handle: {text!r}") from error

    @property
    def folder(self) -> str:
        """The directory of its executor, when it was started."""
        return self.executor.partition(":")[2]

    @property
    def root(self) -> Path:
        """The directory of its executor, as a path."""
        return Path(self.folder)

    def text(self) -> str:
        """The identity as JSON."""
        return json.dumps({name: getattr(self, name) for name in self.__slots__})

    @property
    def visible(self) -> bool:
        """Whether its pid means here what it meant where it started: same boot, same pid namespace.

        Neither the host's name nor the executor's directory matters. Both may have changed since.
        """
        return bool(self.boot) and (self.boot, self.namespace) == (boot_id(), pid_namespace())

    def open(self) -> int:
        """A pidfd of exactly this process. Raises ProcessLookupError that says what became of it."""
        if self.boot and boot_id() and self.boot != boot_id():
            raise ProcessLookupError("the machine was restarted")
        try:
            pidfd = os.pidfd_open(self.pid)
        except ProcessLookupError as error:
            raise ProcessLookupError("its process is gone") from error
        except OSError as error:
            # Any other error, such as no descriptors left, must not make a living job look lost.
            if error.errno not in {EINVAL, ENOENT}:
                raise
            raise ProcessLookupError(f"its pid {self.pid} now belongs to another process") from error
        facts = stat(self.pid)  # after opening: what matches now is what the pidfd refers to
        if facts is not None and facts.start == self.start:
            return pidfd
        os.close(pidfd)
        reused = f"its pid {self.pid} now belongs to another process"
        raise ProcessLookupError(reused if facts else "its process is gone")


def exists(pidfd: int) -> bool:
    """Whether the process lives or is a zombie, so that its pid and its group id are not reused."""
    try:
        signal.pidfd_send_signal(pidfd, 0)
    except ProcessLookupError:
        return False
    return True


def same_group(pid: int, group: int) -> bool:
    """Whether the process is in the group; False when it does not exist."""
    try:
        return os.getpgid(pid) == group
    except ProcessLookupError:
        return False


def signal_group(group: int, number: int) -> None:
    """Send a signal to a process group, where it exists and may be signalled."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def ended(pidfds: Iterable[int]) -> set[int]:
    """The pidfds whose processes have ended."""
    poll = select.poll()
    for pidfd in pidfds:
        poll.register(pidfd, select.POLLIN)
    return {pidfd for pidfd, _ in poll.poll(0)}


def reap(pid: int) -> tuple[int | None, resource.struct_rusage | None]:
    """The wait status and resource usage of an ended child; None for a process that is not a child."""
    try:
        _, status, usage = os.wait4(pid, 0)
    except ChildProcessError:
        return None, None
    return status, usage
