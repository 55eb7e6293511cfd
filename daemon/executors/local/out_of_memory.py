"""Whether the kernel killed a job for want of memory, by its counters of such kills."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from backfilld.daemon.executors.adapter import JobResult

_KILLED = 128 + 9
"""The exit code that a shell gives to a process that was killed."""
_OWN_GROUP = re.compile(r"^\d+:(?P<controllers>[^:]*):(?P<path>.*)$", re.MULTILINE)
_COUNT = re.compile(rb"^oom_kill (\d+)$", re.MULTILINE)


def counter_files() -> tuple[Path, ...]:
    """Files that may count these kills: of the daemon's control group, which jobs share; of the host."""
    groups = Path("/sys/fs/cgroup")
    files = []
    with suppress(OSError):
        for found in _OWN_GROUP.finditer(Path("/proc/self/cgroup").read_text()):
            path = found["path"].lstrip("/")
            if not found["controllers"]:
                files.append(groups / path / "memory.events")
            elif "memory" in found["controllers"].split(","):
                files.append(groups / "memory" / path / "memory.oom_control")
    return (*files, Path("/proc/vmstat"))


@dataclass(frozen=True, slots=True)
class OutOfMemoryKills:
    """How many processes the kernel has killed for want of memory, by the first file that counts them."""

    files: tuple[Path, ...]

    @classmethod
    def of_this_host(cls) -> OutOfMemoryKills:
        """The count of the daemon's own control group, or of the host where the group has none."""
        return cls(counter_files())

    def count(self) -> int:
        """The count so far; 0 where nothing counts."""
        for file in self.files:
            # Each launch reads it, and decoding would take longer than reading.
            with suppress(OSError), open(file, "rb", buffering=0) as counters:
                if found := _COUNT.search(counters.read()):
                    return int(found[1])
        return 0

    def explain(self, result: JobResult, before: int) -> JobResult:
        """The result of a job that was killed; out of memory where the count was lower as it began."""
        killed = result.code == _KILLED or (result.code is None and result.detail == "killed by signal 9")
        if not killed or (kills := self.count() - before) <= 0:
            return result
        processes = "a process" if kills == 1 else f"{kills} processes"
        why = f"it was killed, and the kernel has killed {processes} for want of memory since it began"
        return JobResult.out_of_memory(why, at=result.ended_at)
