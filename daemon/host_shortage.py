"""What this host may lack, so that no job can start: open files, processes, memory, disk."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable

_SHORTAGES = {
    errno.EMFILE: "the daemon has too many open files; raise LimitNOFILE= of the service or `ulimit -Hn`",
    errno.ENFILE: "this host has too many open files; raise the sysctl fs.file-max",
    errno.EAGAIN: "this host allows no more processes; raise TasksMax= of the service or `ulimit -Hu`",
    errno.ENOMEM: "this host is out of memory; lower `slots` in [jobs]",
    errno.ENOSPC: "the disk of the state directory is full",
    errno.EDQUOT: "the disk quota of the state directory is used up",
}
PAUSE_SECONDS = 5.0
"""How long no job is started after such an error."""


class Shortage:
    """Says for some seconds after an error that this host lacks something, so that no job can start now."""

    def __init__(self, steady: Callable[[], float] = time.monotonic) -> None:
        self._steady = steady
        self._reason = ""
        self._until = 0.0

    def explain(self, error: Exception) -> str:
        """What this host lacks, if that is the error's cause, so that no job is to blame; empty otherwise."""
        why = _SHORTAGES.get(error.errno or 0, "") if isinstance(error, OSError) else ""
        if why:
            self._reason, self._until = why, self._steady() + PAUSE_SECONDS
        return why

    @property
    def seconds_left(self) -> float:
        """Seconds until a job may start again; 0 when one may."""
        return max(self._until - self._steady(), 0.0)

    @property
    def reason(self) -> str:
        """Why no job can start now, as a wait shows it; empty when one can."""
        return f"no slot now, because {self._reason}" if self.seconds_left else ""
