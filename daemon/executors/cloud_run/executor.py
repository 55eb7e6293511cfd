"""Runs jobs as executions of Cloud Run jobs, asked for once and found again by a mark in them."""

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
from backfilld.daemon.executors.adapter import Handle, Job, JobResult, JobStatus, RecordHandles
from backfilld.daemon.executors.cloud_run.client import (
    ApiUnavailable,
    CloudRunClient,
    CloudRunHandle,
    InvalidRequest,
    NotFound,
    RequestDenied,
)
from backfilld.daemon.executors.cloud_run.logs import Output
from backfilld.daemon.executors.local.process import Identity, executor_id
from backfilld.daemon.executors.poll_thread import PollThread
from backfilld.state.pipeline.sections import CloudRunSettings

SETTLE_SECONDS = 60.0
"""For how long an execution that may have been asked for is looked for, before it counts as not there."""
LATE_SECONDS = 30.0
"""How long after its end an execution's output is read once more: lines come to Cloud Logging late."""
GIVE_UP_SECONDS = 600.0
"""How long after its end output that cannot be read is asked for again."""


@dataclass(slots=True, kw_only=True)
class _Run:
    """One attempt under way: to be asked for, perhaps asked for, or seen as an execution."""

    ticket: CloudRunHandle
    job: Job | None = None
    """None once it began, and of an earlier daemon's attempt: then it is not for us to ask for."""
    asked: bool = False
    """Whether an execution may be there, seen or not."""
    execution: str = ""
    """Its name, as far as it is known."""
    began: bool = False
    """Whether an execution was seen."""
    absent_since: float | None = None
    """When it was first searched for in vain, in seconds of the monotonic clock."""
    stop: bool = False
    cancelled: bool = False
    status_message: str = ""
    facts: list[str] = field(default_factory=list)
    """The lines that Cloud Run has said of it, with which the log begins."""
    created: str = ""
    """When it was, as RFC 3339 has it: no output is older."""
    output: str = ""
    """What of its output could be read."""
    ended_at: float = 0.0
    """When its end was seen, in seconds of the monotonic clock."""
    told: str = ""
    """What the log says."""


class CloudRunExecutor:
    """An executor of Cloud Run jobs, of which `names` has the full name for each processor.

    The API knows no handle before an execution is there. So what is recorded is a mark, which the execution
    carries in its environment: before anything is asked for again, executions are searched for it. A thread
    asks the API; while that does not answer, attempts stay as they are and are remarked on. Output is
    in Cloud Logging, and read there when the execution has ended. `on_end` is called in that thread or the
    caller's, must return at once and not raise.
    """

    unavailable_reason = ""
    """Attempts themselves wait for the API, and say so."""

    def __init__(
        self,
        root: Path,
        source: CloudRunSettings,
        names: Mapping[str, str],
        *,
        on_end: Callable[[], None] = lambda: None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._root = root
        self._names = names
        self._api = CloudRunClient(source)
        self._output = Output(source)
        self._on_end = on_end
        self._now = now
        self._home = executor_id(root.resolve())
        self._lock = threading.Lock()
        self._runs: dict[int, _Run] = {}
        self._exits: dict[int, JobResult] = {}
        self._late: deque[tuple[float, int, _Run]] = deque()
        self._watch = PollThread("Cloud Run", self._look_around, poll_interval=source.look)
        self._watch.start()

    def log(self, attempt: int) -> Path:
        """The file with what Cloud Run says of the attempt's execution, and its output once it has ended."""
        return attempt_files.attempt_file(self._root, attempt, "log")

    def launch(self, jobs: Sequence[Job], record: RecordHandles) -> None:
        """Record the marks of all jobs in one call, then have executions asked for, once each.

        If `record` raises, none is. What keeps an execution from beginning is remarked on by `poll`, and it
        is tried again until the job's timeout has passed.
        """
        runs = {job.attempt: _Run(ticket=self._ticket(job), job=job) for job in jobs}
        record({attempt: run.ticket.text() for attempt, run in runs.items()})
        for attempt in runs:
            self.log(attempt).unlink(missing_ok=True)
        with self._lock:
            self._runs |= runs
        self._watch.wake()

    def poll(self) -> list[JobStatus]:
        """Every attempt under way, and once each that has ended. None is silent: output is not seen here."""
        with self._lock:
            exits, self._exits = self._exits, {}
            ended = [JobStatus(attempt=n, output_at=end.ended_at, exit=end) for n, end in exits.items()]
            fault = self._watch.status_message
            now = self._now()
            under_way = [
                JobStatus(attempt=n, output_at=now, status_message=fault or run.status_message)
                for n, run in self._runs.items()
            ]
        return [*ended, *under_way]

    def stop(self, attempt: int, grace: float) -> None:
        """Have the execution cancelled: SIGTERM, and SIGKILL after Cloud Run's own grace of ten seconds."""
        with self._lock:
            run = self._runs.get(attempt)
            if run is None or run.stop:
                return
            run.stop = True
        self._watch.wake()

    def recover(self, running: Mapping[int, Handle | None]) -> None:
        """Look for the executions of an earlier daemon's attempts; `poll` tells what became of them."""
        for attempt in running.keys() - self._runs.keys() - self._exits.keys():
            handle = running[attempt]
            if handle is None:
                self._report(attempt, JobResult.never_began(at=self._now()))
                continue
            try:
                ticket = CloudRunHandle.parse(handle)
            except ValueError as error:
                self._report(attempt, JobResult.lost(str(error), at=self._now()))
                continue
            with self._lock:
                self._runs[attempt] = _Run(ticket=ticket, asked=True)
        self._watch.wake()

    def close(self) -> None:
        """End the watch. Executions live on, for the next executor to adopt. Idempotent."""
        self._watch.close()

    def _ticket(self, job: Job) -> CloudRunHandle:
        now = self._now()
        return CloudRunHandle(
            job=self._names[job.processor],
            mark=f"{job.attempt}-{uuid.uuid4().hex}",
            launcher=Identity.of(os.getpid(), at=now, home=self._home),
            until=now + job.timeout,
        )

    def _look_around(self) -> bool:
        """One look at each attempt under way. False: there is no need for another at once."""
        with self._lock:
            runs = dict(self._runs)
        for attempt, run in runs.items():
            if self._watch.stopping:
                return False
            try:
                self._look(attempt, run)
            except ApiUnavailable as error:
                run.status_message = str(error)
        with suppress(
            ApiUnavailable
        ):  # nor would it show more of the next: first those under way are looked at again
            self._read_late()
        return False

    def _look(self, attempt: int, run: _Run) -> None:
        """One look at one attempt, and what follows from it. Raises Away when the API does not answer."""
        if run.execution:
            self._follow(attempt, run)
        elif run.asked or run.job is None:
            self._seek(attempt, run)
        elif run.stop or self._now() >= run.ticket.until:
            self._report(attempt, JobResult.never_began("ended before it began", at=self._now()))
        else:
            try:
                self._begin(run, run.job)
            except InvalidRequest as error:
                self._report(attempt, JobResult.cannot_start(str(error), at=self._now()))

    def _begin(self, run: _Run, job: Job) -> None:
        """Ask for the execution. Raises Wrong when there can be none."""
        if objection := self._api.objection(run.ticket.job):
            raise InvalidRequest(f"{objection.why}: {objection.remedy}")
        run.asked = True
        try:
            run.execution = self._api.begin(job, run.ticket)
        except RequestDenied:
            run.asked = False
            raise
        run.status_message = ""

    def _seek(self, attempt: int, run: _Run) -> None:
        """Search for an execution that may be there."""
        run.execution = self._api.find(run.ticket)
        if run.execution:
            self._follow(attempt, run)
            return
        run.status_message = "Cloud Run shows no execution of it yet"
        run.absent_since = run.absent_since or time.monotonic()
        if time.monotonic() - run.absent_since < SETTLE_SECONDS:
            return
        if run.began:
            self._report(attempt, JobResult.lost("its execution is gone", at=self._now()))
        elif run.job is not None:
            run.asked, run.absent_since = False, None
        elif not self._may_still_begin(run.ticket):
            self._report(attempt, JobResult.never_began(at=self._now()))

    def _follow(self, attempt: int, run: _Run) -> None:
        """Look at the execution."""
        try:
            seen = self._api.look(run.execution)
        except NotFound:  # a listing alone can tell that it is gone
            run.execution, run.asked = "", True
            raise
        run.began, run.job, run.absent_since, run.status_message = True, None, None, ""
        run.created = seen.created
        # None is taken back: whoever follows the log counts its bytes.
        run.facts += [line for line in seen.lines if line not in run.facts]
        if seen.exit is not None:
            run.ended_at = time.monotonic()
            try:
                self._read(attempt, run)
            except ApiUnavailable as error:
                self._tell(attempt, run, f"[backfilld: {error}]\n")
            self._late.append((run.ended_at + LATE_SECONDS, attempt, run))
            self._report(attempt, seen.exit)
            return
        self._tell(attempt, run)
        if run.stop and not run.cancelled:
            self._api.cancel(run.execution)
            run.cancelled = True

    def _may_still_begin(self, ticket: CloudRunHandle) -> bool:
        """Whether who launched it may yet ask for its execution."""
        if ticket.launcher.home == self._home:
            try:
                os.close(ticket.launcher.open())
            except ProcessLookupError:
                return False
        return self._now() < ticket.until + SETTLE_SECONDS

    def _report(self, attempt: int, end: JobResult) -> None:
        """Have `poll` tell how an attempt ended."""
        with self._lock:
            self._runs.pop(attempt, None)
            self._exits[attempt] = end
        self._on_end()

    def _read_late(self) -> None:
        """Read once more what those wrote whose end is some time ago. Raises Away at the first that fails."""
        while self._late and self._late[0][0] <= time.monotonic() and not self._watch.stopping:
            _, attempt, run = self._late.popleft()
            try:
                self._read(attempt, run)
            except ApiUnavailable:
                if time.monotonic() < run.ended_at + GIVE_UP_SECONDS:
                    self._late.append((time.monotonic() + LATE_SECONDS, attempt, run))
                raise

    def _read(self, attempt: int, run: _Run) -> None:
        """Have the log tell what was written; an answer with nothing takes nothing back. Raises Away."""
        run.output = self._output.of(run.execution, run.created) or run.output
        self._tell(attempt, run, run.output)

    def _tell(self, attempt: int, run: _Run, output: str = "") -> None:
        """Write the log anew when there is something new to tell."""
        text = "".join(f"{line}\n" for line in run.facts) + output
        if text == run.told:
            return
        run.told = text
        with suppress(OSError):  # a full disk, say: how the job ends matters more
            attempt_files.replace(self.log(attempt), text)
