"""Facts about single processes: who a process is, whether it lives, whether and how it ended."""

from __future__ import annotations

import functools
import json
import os
import resource
import select
import signal
import socket
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from errno import EINVAL, ENOENT
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Stat:
    """What /proc/<pid>/stat says; `start` is in clock ticks since boot, the rest as the kernel has it."""

    state: str
    flags: int
    start: int
    env_start: int
    env_end: int


def stat(pid: int | str) -> Stat | None:
    """The facts of a process, or None when there is none."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:  # a Path costs more than the reading
            text = file.read()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The command's name stands in parentheses and may hold blanks and parentheses: count from the last one.
    fields = text[text.rindex(b")") + 2 :].split()
    flags, start, env_start, env_end = (int(fields[number - 3]) for number in (9, 22, 50, 51))
    return Stat(state=fields[0].decode(), flags=flags, start=start, env_start=env_start, env_end=env_end)


@functools.cache
def boot_id() -> str:
    """The kernel's name for the time since it was started; empty where a sandbox hides it."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""


def executor_id(root: Path) -> str:
    """How identities name this machine and the directory of an executor, a path without links."""
    return f"{socket.gethostname()}:{root}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """One process for ever: a pid alone is given to others later. `at` is the epoch time of the launch.

    `home` is the machine and the directory of the executor that started it; empty in handles of old versions.
    """

    pid: int
    start: int
    boot: str
    at: float
    home: str = ""

    @classmethod
    def of(cls, pid: int, *, at: float, home: str = "") -> Identity:
        """The identity of a process that is there. Raises ProcessLookupError when it is not."""
        facts = stat(pid)
        if facts is None:
            raise ProcessLookupError(f"no process {pid}")
        return cls(pid=pid, start=facts.start, boot=boot_id(), at=at, home=home)

    @classmethod
    def parse(cls, text: str) -> Identity:
        """Read what `text` wrote. Raises ValueError for anything else."""
        try:
            fields = json.loads(text)
            pid, start = int(fields["pid"]), int(fields["start"])
            boot, home = str(fields["boot"]), str(fields.get("home", ""))
            return cls(pid=pid, start=start, boot=boot, at=float(fields["at"]), home=home)
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"not a process handle: {text!r}") from error

    def text(self) -> str:
        """The identity as JSON."""
        return json.dumps(asdict(self))

    def open(self) -> int:
        """A pidfd of this very process. Raises ProcessLookupError that says what became of it."""
        if self.boot and boot_id() and self.boot != boot_id():
            raise ProcessLookupError("the machine was restarted")
        try:
            pidfd = os.pidfd_open(self.pid)
        except ProcessLookupError as error:
            raise ProcessLookupError("its process is gone") from error
        except OSError as error:
            # Anything else, such as no descriptors left, must not make a living job look lost.
            if error.errno not in {EINVAL, ENOENT}:
                raise
            raise ProcessLookupError(f"its pid {self.pid} now belongs to another process") from error
        facts = stat(self.pid)  # once the pidfd is held: what matches now is what the pidfd refers to
        if facts is not None and facts.start == self.start:
            return pidfd
        os.close(pidfd)
        other = f"its pid {self.pid} now belongs to another process"
        raise ProcessLookupError(other if facts else "its process is gone")


def exists(pidfd: int) -> bool:
    """Whether the process lives or waits to be reaped, so that its pid and its group's id are its own."""
    try:
        signal.pidfd_send_signal(pidfd, 0)
    except ProcessLookupError:
        return False
    return True


def same_group(pid: int, group: int) -> bool:
    """Whether the process is in the group; False when it is gone."""
    try:
        return os.getpgid(pid) == group
    except ProcessLookupError:
        return False


def ended(pidfds: Iterable[int]) -> set[int]:
    """Those whose processes have ended."""
    poll = select.poll()
    for pidfd in pidfds:
        poll.register(pidfd, select.POLLIN)
    return {pidfd for pidfd, _ in poll.poll(0)}


def reap(pid: int) -> tuple[int | None, resource.struct_rusage | None]:
    """The wait status and usage of an ended process; None for what is not a child of this one."""
    try:
        _, status, usage = os.wait4(pid, 0)
    except ChildProcessError:
        return None, None
    return status, usage
