"""Drives an executor as the engine does: launches jobs, records handles, waits for results."""

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from backfilld.daemon.executors.adapter import Executor, Handle, Job, JobResult, JobStatus
from backfilld.daemon.executors.attempt_files import FileLog
from tests.integration.real_jobs import until
from tests.timeouts import PATIENCE

OpenExecutor = Callable[[Callable[[], None]], Executor]
"""Opens an executor, given its callback for the end of a job."""


class ExecutorDriver:
    """An executor with its callback and the recorded handles. `defaults` are fields of every job."""

    def __init__(self, cwd: Path, open_executor: OpenExecutor, **defaults: Any) -> None:
        self.cwd = cwd
        self.open_executor = open_executor
        self.defaults = defaults
        self.handles: dict[int, Handle] = {}
        self.records = 0
        self.job_ended = threading.Event()
        self.results: list[JobStatus] = []
        self.executor = self.restart()

    def restart(self) -> Executor:
        """Another executor, as the next daemon opens it."""
        self.executor = self.open_executor(self.job_ended.set)
        return self.executor

    def record(self, handles: Mapping[int, Handle]) -> None:
        self.records += 1
        self.handles.update(handles)

    def job(self, *argv: str, attempt: int = 1, **fields: Any) -> Job:
        words = {"cwd": self.cwd, "env": {"GIVEN": "to the job"}, **self.defaults, **fields}
        return Job(attempt=attempt, argv=argv, **words)

    def launch(self, *argv: str, attempt: int = 1, **fields: Any) -> None:
        self.executor.launch([self.job(*argv, attempt=attempt, **fields)], self.record)

    def shell(self, script: str, *, attempt: int = 1, **fields: Any) -> None:
        """Launch a script once the executor can start a job."""
        until(lambda: not self.executor.unavailable_reason, "an executor that can start a job")
        self.launch("sh", "-c", script, attempt=attempt, **fields)

    def run(self, *argv: str, **fields: Any) -> JobResult:
        """Launch a job and wait for its result."""
        self.launch(*argv, **fields)
        return self.result()

    def status(self) -> JobStatus | None:
        """The status of the only attempt, also when it has ended; None when there is none."""
        return next(iter(self.executor.poll()), None)

    def ended(self, count: int = 1) -> list[JobStatus]:
        """Wait, woken by the executor, until so many attempts have ended."""
        give_up_at = time.monotonic() + PATIENCE
        while len(self.results) < count:
            assert time.monotonic() < give_up_at, f"only {len(self.results)} of {count} ended"
            self.results += [status for status in self.executor.poll() if status.result]
            if len(self.results) < count:
                self.job_ended.wait(PATIENCE)
                self.job_ended.clear()
        ended, self.results = self.results[:count], self.results[count:]
        return ended

    def result(self) -> JobResult:
        """Wait for the next result."""
        (status,) = self.ended()
        assert status.result
        return status.result

    def log_file(self, attempt: int = 1) -> Path:
        """The file that has the attempt's log."""
        log = self.executor.log(attempt)
        assert isinstance(log, FileLog)
        return log.path

    def output(self, attempt: int = 1) -> str:
        log = self.executor.log(attempt)
        size = log.size()
        return log.read(0, size).decode() if size else ""

    def pid(self, name: str) -> int:
        """Wait for the pid that a job's process wrote to a file in the working directory."""
        file = self.cwd / name
        until(lambda: file.exists() and file.read_text().endswith("\n"), f"the pid file {name}")
        return int(file.read_text())

    def stop_all(self) -> None:
        """Kill all jobs and close the executor."""
        for status in self.executor.poll():
            self.executor.stop(status.attempt, 0)
        until(lambda: all(status.result for status in self.executor.poll()), "the jobs to end")
        self.executor.close()
