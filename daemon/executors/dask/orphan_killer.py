"""Kills jobs whose Dask worker is gone. `python -m` of this module takes DIRECTORY, and handles on stdin.

Jobs of the local executor outlive the process that started them. On a Dask worker they must not: no later
process adopts them, and the next attempt may start on another host. End of file on stdin says that the worker
process is gone, whatever the reason.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

from backfilld.daemon.executors.adapter import Handle
from backfilld.daemon.executors.local.executor import LocalExecutor

_POLL_SECONDS = 1.0


class OrphanKiller:
    """A process that kills the jobs in an executor's directory once its parent is gone, and removes it."""

    def __init__(self, directory: Path) -> None:
        read_end, self._stdin = os.pipe()
        try:
            self._process = subprocess.Popen(  # noqa: S603  this module itself
                [sys.executable, "-m", __name__, str(directory)],
                stdin=read_end,
                stdout=subprocess.DEVNULL,
                start_new_session=True,  # a signal to the parent's group must not kill it first
            )
        finally:
            os.close(read_end)

    def record(self, handles: Mapping[int, Handle]) -> None:
        """Guard these jobs. Raises OSError when this process is dead, so that the jobs do not begin."""
        for attempt, handle in handles.items():
            os.write(self._stdin, f"{attempt} {handle}\n".encode())

    def close(self) -> None:
        """Wait until it has removed the directory, after its jobs have ended."""
        os.close(self._stdin)
        self._process.wait()


def guard(directory: Path) -> None:
    """Wait for the parent's end, then SIGKILL what is left of its jobs, and remove the directory."""
    lines = (line.split(maxsplit=1) for line in sys.stdin)
    handles: dict[int, Handle | None] = {int(attempt): handle for attempt, handle in lines}
    job_ended = threading.Event()
    local = LocalExecutor(directory, on_end=job_ended.set)
    local.recover(handles)
    while running := [status.attempt for status in local.poll() if status.result is None]:
        for attempt in running:
            local.stop(attempt, grace=0.0)
        job_ended.wait(_POLL_SECONDS)
        job_ended.clear()
    local.close()
    shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    guard(Path(sys.argv[1]))
