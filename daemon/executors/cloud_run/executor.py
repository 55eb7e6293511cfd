"""Runs jobs as executions of Cloud Run jobs, requested once and found again by a correlation id."""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from backfilld.daemon.executors import attempt_files
from backfilld.daemon.executors.adapter import Handle, Job, JobLog, JobResult, JobStatus, RecordHandles
from backfilld.daemon.executors.cloud_run.client import (
    ApiUnavailable,
    CloudRunClient,
    CloudRunHandle,
    InvalidRequest,
    NotFound,
    RequestDenied,
)
from backfilld.daemon.executors.cloud_run.logs import OutputReader
from backfilld.daemon.executors.cloud_run.settings import CloudRunSettings
from backfilld.daemon.executors.poll_thread import PollThread
from backfilld.daemon.executors.process_identity import Identity, executor_id

SEARCH_SECONDS = 60.0
"""How long to search for an execution that may have been requested, before it counts as missing."""
LATE_SECONDS = 30.0
"""How long after its end an execution's output is read again: Cloud Logging receives lines late."""
GIVE_UP_SECONDS = 600.0
"""How long after its end output that cannot be read is requested again."""


@dataclass(slots=True, kw_only=True)
class _CloudRunAttempt:
    """A running attempt: its execution is to be requested, may have been requested, or is known by name."""

    handle: CloudRunHandle
    job: Job | None = None
    """None once its execution was seen, and for an earlier daemon's attempt: do not request it here."""
    requested: bool = False
    """Whether an execution may exist."""
    execution: str = ""
    """The execution's name; empty while it is not known."""
    began: bool = False
    """Whether an execution was seen."""
    missing_since: float | None = None
    """When it was first searched without success, in seconds of the monotonic clock."""
    stopping: bool = False
    cancelled: bool = False
    status_message: str = ""
    reports: list[str] = field(default_factory=list)
    """The lines that Cloud Run has reported. The log begins with them."""
    created: str = ""
    """When the execution was created, in RFC 3339. No output is older."""
    output: str = ""
    """The output that was read so far."""
    ended_at: float = 0.0
    """When its end was seen, in seconds of the monotonic clock."""
    log_text: str = ""
    """The content of the log file."""


class CloudRunExecutor:
    """An executor of Cloud Run jobs; `names` has the full name of each processor's Cloud Run job.

    The API returns no handle before an execution exists. The recorded handle is therefore a correlation id,
    which the execution carries in its environment. Before a request is repeated, executions are searched for
    it. Only the polling thread calls the API. While the API does not answer, attempts keep their state, and
    their status message says why. Output is in Cloud Logging and is read when the execution has ended.
    `on_end` is called in the polling thread or the caller's, must return at once and must not raise.
    """

    unavailable_reason = ""

    def __init__(
        self,
        root: Path,
        settings: CloudRunSettings,
        names: Mapping[str, str],
        *,
        on_end: Callable[[], None] = lambda: None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._root = root
        self._names = names
        self._thread = PollThread("Cloud Run", self._poll, interval=settings.look)
        self._api = CloudRunClient(settings, self._thread.progress)
        self._output = OutputReader(settings)
        self._on_end = on_end
        self._now = now
        self._executor_id = executor_id(root.resolve())
        self._lock = threading.Lock()
        self._running: dict[int, _CloudRunAttempt] = {}
        self._ended: dict[int, JobResult] = {}
        self._late: deque[tuple[float, int, _CloudRunAttempt]] = deque()
        self._thread.start()

    @property
    def fault(self) -> str:
        """What is wrong with the polling thread; empty when all is well."""
        return self._thread.fault

    def log(self, attempt: int) -> JobLog:
        """What Cloud Run reports of the attempt's execution, and its output once it has ended."""
        return attempt_files.FileLog(self._log_path(attempt))

    def launch(self, jobs: Sequence[Job], record: RecordHandles) -> None:
        """Record the correlation ids of all jobs in one call, then request executions in the polling thread.

        If `record` raises, none is requested. A request that is refused is repeated until the job's timeout
        has passed; the status message of the attempt says why.
        """
        runs = {job.attempt: _CloudRunAttempt(handle=self._new_handle(job), job=job) for job in jobs}
        record({attempt: run.handle.text() for attempt, run in runs.items()})
        for attempt in runs:
            self._log_path(attempt).unlink(missing_ok=True)
        with self._lock:
            self._running |= runs
        self._thread.wake()

    def poll(self) -> list[JobStatus]:
        """Every running attempt, and once each that has ended. None is idle: output is not seen here."""
        with self._lock:
            results, self._ended = self._ended, {}
            ended = [JobStatus(attempt=n, output_at=r.ended_at, result=r) for n, r in results.items()]
            error = self._thread.status_message
            now = self._now()
            running = [
                JobStatus(attempt=n, output_at=now, status_message=error or run.status_message)
                for n, run in self._running.items()
            ]
        return [*ended, *running]

    def stop(self, attempt: int, grace: float) -> None:
        """Cancel the execution: SIGTERM, and SIGKILL after Cloud Run's own grace period of ten seconds."""
        with self._lock:
            run = self._running.get(attempt)
            if run is None or run.stopping:
                return
            run.stopping = True
        self._thread.wake()

    def recognizes(self, handle: Handle) -> bool:
        """Whether the handle is of a Cloud Run execution: its job's full name says in which project."""
        try:
            CloudRunHandle.parse(handle)
        except ValueError:
            return False
        return True

    def recover(self, running: Mapping[int, Handle | None]) -> None:
        """Search the executions of an earlier daemon's attempts; `poll` reports what became of them."""
        for attempt in running.keys() - self._running.keys() - self._ended.keys():
            text = running[attempt]
            if text is None:
                self._report(attempt, JobResult.never_began(at=self._now()))
                continue
            try:
                handle = CloudRunHandle.parse(text)
            except ValueError as error:
                self._report(attempt, JobResult.lost(str(error), at=self._now()))
                continue
            with self._lock:
                self._running[attempt] = _CloudRunAttempt(handle=handle, requested=True)
        self._thread.wake()

    def close(self) -> None:
        """Stop polling. Executions keep running for the next executor to adopt. Idempotent."""
        self._thread.close()

    def _log_path(self, attempt: int) -> Path:
        return attempt_files.attempt_file(self._root, attempt, "log")

    def _new_handle(self, job: Job) -> CloudRunHandle:
        now = self._now()
        return CloudRunHandle(
            job=self._names[job.processor],
            correlation_id=f"{job.attempt}-{uuid.uuid4().hex}",
            launcher=Identity.of(os.getpid(), at=now, executor=self._executor_id),
            until=now + job.timeout,
        )

    # ---- in the polling thread

    def _poll(self) -> bool:
        """Poll each running attempt once. False, as the next poll can wait."""
        with self._lock:
            running = dict(self._running)
        for attempt, run in running.items():
            if self._thread.stopping:
                return False
            try:
                self._poll_attempt(attempt, run)
            except ApiUnavailable as error:
                run.status_message = str(error)
        with suppress(ApiUnavailable):  # the next read would fail too: running attempts come first
            self._read_late_output()
        return False

    def _poll_attempt(self, attempt: int, run: _CloudRunAttempt) -> None:
        """Poll an attempt, and take its next step. Raises ApiUnavailable when the API does not answer."""
        if run.execution:
            self._follow(attempt, run)
        elif run.requested or run.job is None:
            self._search(attempt, run)
        elif run.stopping or self._now() >= run.handle.until:
            self._report(attempt, JobResult.never_began("ended before it began", at=self._now()))
        else:
            try:
                self._request(run, run.job)
            except InvalidRequest as error:
                self._report(attempt, JobResult.cannot_start(str(error), at=self._now()))

    def _request(self, run: _CloudRunAttempt, job: Job) -> None:
        """Request the execution. Raises InvalidRequest when it can never be executed."""
        if problem := self._api.config_problem(run.handle.job):
            raise InvalidRequest(f"{problem.why}: {problem.remedy}")
        run.requested = True
        try:
            run.execution = self._api.run(job, run.handle)
        except RequestDenied:
            run.requested = False
            raise
        run.status_message = ""

    def _search(self, attempt: int, run: _CloudRunAttempt) -> None:
        """Search for an execution that may exist."""
        run.execution = self._api.find(run.handle)
        if run.execution:
            self._follow(attempt, run)
            return
        run.status_message = "Cloud Run shows no execution of it yet"
        run.missing_since = run.missing_since or time.monotonic()
        if time.monotonic() - run.missing_since < SEARCH_SECONDS:
            return
        if run.began:
            self._report(attempt, JobResult.lost("its execution is gone", at=self._now()))
        elif run.job is not None:
            run.requested, run.missing_since = False, None
        elif not self._may_still_begin(run.handle):
            self._report(attempt, JobResult.never_began(at=self._now()))

    def _follow(self, attempt: int, run: _CloudRunAttempt) -> None:
        """Read the state of the execution, and cancel it if the attempt is to be stopped."""
        try:
            status = self._api.status(run.execution)
        except NotFound:  # only a listing proves that it is gone
            run.execution, run.requested = "", True
            raise
        run.began, run.job, run.missing_since, run.status_message = True, None, None, ""
        run.created = status.created
        # No line is removed: a reader that follows the log counts its bytes.
        run.reports += [line for line in status.lines if line not in run.reports]
        if status.result is not None:
            run.ended_at = time.monotonic()
            try:
                self._read_output(attempt, run)
            except ApiUnavailable as error:
                self._write_log(attempt, run, f"[backfilld: {error}]\n")
            self._late.append((run.ended_at + LATE_SECONDS, attempt, run))
            self._report(attempt, status.result)
            return
        self._write_log(attempt, run)
        if run.stopping and not run.cancelled:
            self._api.cancel(run.execution)
            run.cancelled = True

    def _may_still_begin(self, handle: CloudRunHandle) -> bool:
        """Whether the process that launched it may still request its execution."""
        if handle.launcher.executor == self._executor_id:
            try:
                os.close(handle.launcher.open())
            except ProcessLookupError:
                return False
        return self._now() < handle.until + SEARCH_SECONDS

    def _report(self, attempt: int, result: JobResult) -> None:
        """Have `poll` report how an attempt ended."""
        self._thread.progress()
        with self._lock:
            self._running.pop(attempt, None)
            self._ended[attempt] = result
        self._on_end()

    def _read_late_output(self) -> None:
        """Read again the output of ended executions. Raises ApiUnavailable at the first failure."""
        while self._late and self._late[0][0] <= time.monotonic() and not self._thread.stopping:
            _, attempt, run = self._late.popleft()
            try:
                self._read_output(attempt, run)
            except ApiUnavailable:
                if time.monotonic() < run.ended_at + GIVE_UP_SECONDS:
                    self._late.append((time.monotonic() + LATE_SECONDS, attempt, run))
                raise

    def _read_output(self, attempt: int, run: _CloudRunAttempt) -> None:
        """Write the output to the log. An empty answer removes nothing. Raises ApiUnavailable."""
        output = self._output.read(run.execution, run.created)
        self._thread.progress()
        run.output = output or run.output
        self._write_log(attempt, run, run.output)

    def _write_log(self, attempt: int, run: _CloudRunAttempt, output: str = "") -> None:
        """Replace the log file if its content changes."""
        text = "".join(f"{line}\n" for line in run.reports) + output
        if text == run.log_text:
            return
        run.log_text = text
        with suppress(OSError):  # such as a full disk: the job's result matters more
            attempt_files.replace(self._log_path(attempt), text)
