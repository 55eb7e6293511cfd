"""Drives an executor that runs jobs elsewhere, as the engine does it."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from backfilld.daemon.executors.adapter import Executor, Handle, Job, JobResult, JobStatus
from tests.integration.real_jobs import until
from tests.timeouts import PATIENCE


class Hand:
    """An executor with its wake-up and its records. `opens` makes one, given what it calls at an end."""

    def __init__(self, cwd: Path, opens: Callable[[Callable[[], None]], Executor], **job: Any) -> None:
        self.cwd = cwd
        self.opens = opens
        self.more = job
        self.handles: dict[int, Handle] = {}
        self.ends = threading.Event()
        self.told: list[JobResult] = []
        self.executor = self.again()

    def again(self) -> Executor:
        """An executor as the next daemon has it."""
        self.executor = self.opens(self.ends.set)
        return self.executor

    def shell(self, script: str, *, attempt: int = 1, **more: Any) -> None:
        until(lambda: not self.executor.unavailable_reason, "an executor that can start a job")
        self.launch(script, attempt=attempt, **more)

    def launch(self, script: str, *, attempt: int = 1, **more: Any) -> None:
        words = {"cwd": self.cwd, "env": {"GIVEN": "to the job"}, **self.more, **more}
        self.executor.launch([Job(attempt=attempt, argv=("sh", "-c", script), **words)], self.handles.update)

    def seen(self) -> JobStatus | None:
        """The one attempt under way; its end too."""
        return next(iter(self.executor.poll()), None)

    def exit(self) -> JobResult:
        """Wait, woken by the executor, for an end that was not asked for yet."""
        give_up_at = time.monotonic() + PATIENCE
        while time.monotonic() < give_up_at:
            self.told += [seen.exit for seen in self.executor.poll() if seen.exit]
            if self.told:
                return self.told.pop(0)
            self.ends.wait(1.0)
            self.ends.clear()
        raise AssertionError("it does not end")

    def output(self, attempt: int = 1) -> str:
        log = self.executor.log(attempt)
        return log.read_text() if log.exists() else ""

    def pid(self, name: str) -> int:
        """Wait for the pid that a job's process wrote to a file in the working directory."""
        file = self.cwd / name
        until(lambda: file.exists() and file.read_text().endswith("\n"), f"the pid file {name}")
        return int(file.read_text())
