"""Ends jobs whose Dask worker is gone; `python -m` of this module with FOLDER, and handles on stdin.

Jobs of the local executor outlive whoever started them. Where nobody comes back to adopt them they must not:
a new attempt may begin elsewhere. The end of stdin says that the master is gone, however it went.
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

_LOOK_SECONDS = 1.0


class OrphanKiller:
    """A process that ends the jobs of an executor's folder once this one is gone, and clears the folder."""

    def __init__(self, folder: Path) -> None:
        ours, self._stdin = os.pipe()
        try:
            self._process = subprocess.Popen(  # noqa: S603  our own module
                [sys.executable, "-m", __name__, str(folder)],
                stdin=ours,
                stdout=subprocess.DEVNULL,
                start_new_session=True,  # what ends our group must not end it first
            )
        finally:
            os.close(ours)

    def record(self, handles: Mapping[int, Handle]) -> None:
        """Entrust the jobs to it. Raises OSError when it is dead itself, so that they do not begin."""
        for attempt, handle in handles.items():
            os.write(self._stdin, f"{attempt} {handle}\n".encode())

    def dismiss(self) -> None:
        """The jobs are over: wait until it has cleared the folder."""
        os.close(self._stdin)
        self._process.wait()


def keep_watch(folder: Path) -> None:
    """Wait for the master's end, then SIGKILL what is left of its jobs, and remove the folder."""
    entrusted = (line.split(maxsplit=1) for line in sys.stdin)
    handles: dict[int, Handle | None] = {int(attempt): handle for attempt, handle in entrusted}
    news = threading.Event()
    local = LocalExecutor(folder, on_end=news.set)
    local.recover(handles)
    while living := [seen.attempt for seen in local.poll() if seen.exit is None]:
        for attempt in living:
            local.stop(attempt, grace=0.0)
        news.wait(_LOOK_SECONDS)
        news.clear()
    local.close()
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    keep_watch(Path(sys.argv[1]))
