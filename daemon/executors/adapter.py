"""The protocol of executors, and the values that they exchange with the engine.

An executor runs jobs; it knows no dates. A job must not begin before its handle is recorded: otherwise a
daemon that dies in between would leave a job running that the next daemon cannot find.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from backfilld.daemon.preflight.findings import Finding
from backfilld.state.formatting import pluralize

if TYPE_CHECKING:  # the process that guards one job on a Dask worker needs no pipeline
    from backfilld.state.pipeline.base_executor_settings import ExecutorSettings
    from backfilld.state.pipeline.pipeline import Pipeline

Handle = str
"""What an executor needs to find a job after a restart. Only the executor that wrote the text parses it."""

RecordHandles = Callable[[Mapping[int, Handle]], None]
"""Commits the handles of attempts to the state database. May be called in any thread."""

CHUNK_BYTES = 64 * 1024
"""The most that is read of a log at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One attempt, ready to run. `argv` is executed without a shell."""

    attempt: int
    argv: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str] = field(default_factory=dict)
    pass_env: tuple[str, ...] = ()
    """Names of variables of the daemon's environment that the job gets too."""
    processor: str = ""
    timeout: float = 30 * 60.0
    """Seconds until the daemon stops the job. An executor that outlives the daemon enforces it as well."""
    grace_period: float = 10.0
    """Seconds between SIGTERM and SIGKILL where the executor itself stops the job."""
    resources: Mapping[str, float | str] = field(default_factory=dict)
    """What the job needs of its executor, by keys that the kind of executor defines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobResult:
    """How a job ended. `code` is None when the exit code is unknown: the job was lost or killed."""

    code: int | None
    ended_at: float
    detail: str = ""
    """Why there is no exit code, or why the job could not start; what of it was ended with it. Else empty."""
    max_rss_bytes: int | None = None
    cpu_seconds: float | None = None
    began: bool = True
    """False when the job certainly never ran, so that it cannot have written anything."""
    counts_as_attempt: bool = True
    """False when the job is not to blame for its end: the attempt is given back."""
    counts_for_breaker: bool = True
    """False when nothing says that the job is to blame, as where its host is gone."""

    @classmethod
    def lost(cls, why: str, *, at: float) -> JobResult:
        """The end of a job whose exit code cannot be known, because its host or its process is gone."""
        return replace(cls.without_code(why, at=at), counts_for_breaker=False)

    @classmethod
    def without_code(cls, why: str, *, at: float) -> JobResult:
        """The end of a job that its executor explains by another thing than an exit code."""
        return cls(code=None, ended_at=at, detail=f"lost: {why}")

    @classmethod
    def never_began(cls, why: str = "never started", *, at: float) -> JobResult:
        """The end of a job that was never started. It does not count as an attempt."""
        return replace(cls.lost(why, at=at), began=False, counts_as_attempt=False)

    @classmethod
    def cannot_start(cls, why: str, *, at: float) -> JobResult:
        """The end of a job that its executor refuses."""
        return cls(code=None, ended_at=at, detail=f"cannot start: {why}")

    @classmethod
    def out_of_memory(cls, why: str, *, at: float) -> JobResult:
        """The end of a job that was killed for want of memory. It counts as an attempt."""
        return cls(code=None, ended_at=at, detail=f"out of memory: {why}")

    @classmethod
    def preempted(cls, why: str, *, at: float) -> JobResult:
        """The end of a job that its cluster or machine stopped in order. It does not count as an attempt."""
        preempted = f"preempted: {why}"
        return replace(cls.lost(why, at=at), detail=preempted, counts_as_attempt=False)

    def with_leftovers(self, n: int) -> JobResult:
        """The same with how many processes outlived the job and were ended: what they did is not done."""
        left = pluralize(
            n, "process that it left behind was ended", "processes that it left behind were ended"
        )
        return replace(self, detail="; ".join(filter(None, (self.detail, left))))


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStatus:
    """The state of one attempt as its executor sees it."""

    attempt: int
    output_at: float
    """When the job last wrote output, in epoch seconds; when it started, if it wrote none."""
    result: JobResult | None = None
    """How it ended; None while it runs."""
    unreachable_at: str = ""
    """Where it runs, if the executor cannot reach that host. Nothing else is known of it then."""
    status_message: str = ""
    """Why it does not begin or cannot be observed; empty when all is well."""


class JobLog(Protocol):
    """The output of an attempt, wherever it is kept."""

    def size(self) -> int | None:
        """Bytes so far; None when there is no log. Raises OSError if the log cannot be read."""

    def read(self, start: int, length: int) -> bytes:
        """At most `length` bytes from byte `start`. Raises OSError if the log cannot be read."""


def follow(log: JobLog, start: int, end: int) -> Iterator[bytes]:
    """The bytes from `start` to before `end` in chunks, or less when the log ends earlier."""
    while start < end and (chunk := log.read(start, min(CHUNK_BYTES, end - start))):
        start += len(chunk)
        yield chunk


class Executor(Protocol):
    """Runs jobs. No call waits for another host; `launch` may start local processes."""

    @property
    def unavailable_reason(self) -> str:
        """What has to happen before a job can start here, as shown in `waiting_on`; empty when it can."""

    @property
    def fault(self) -> str:
        """What is wrong with the executor itself, as shown at /readyz; empty when all is well."""

    def launch(self, jobs: Sequence[Job], record: RecordHandles) -> None:
        """Prepare the jobs, `record` their handles, then start them; all of it may happen later.

        If `record` raises, no job begins. An error in the caller's thread is raised to the caller; an
        executor that records later reports the jobs as never begun. `poll` reports jobs that cannot start.
        """

    def poll(self) -> list[JobStatus]:
        """The status of every running attempt, and once of each that has ended since the last call."""

    def stop(self, attempt: int, grace: float) -> None:
        """Ask the job to end and kill it after `grace` seconds. Idempotent; ignores unknown attempts."""

    def log(self, attempt: int) -> JobLog:
        """The attempt's output."""

    def recognizes(self, handle: Handle) -> bool:
        """Whether the handle leads this executor to its job, whatever executor recorded it.

        The pipeline file may rename an executor, remove it, or give its name to another one.
        """

    def recover(self, running: Mapping[int, Handle | None]) -> None:
        """After a restart: adopt the jobs that still run. `poll` reports the results of the others."""

    def close(self) -> None:
        """Stop observing jobs. They keep running and are recovered at the next start. Idempotent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutorAdapter:
    """A kind of executor: what its folder exposes as ADAPTER. Importing it imports no client library."""

    settings: type[ExecutorSettings]
    """The model of `[executor.NAME]`."""
    open: Callable[[Pipeline, str, Path, Callable[[], None]], Executor]
    """The executor of a pipeline by name, with the directory of logs and the callback for jobs that end."""
    preflight: Callable[[Pipeline, str], Iterable[Finding]] = lambda pipeline, name: ()
    """Checks what the jobs on an executor need. Raises SettingsError when a package is missing."""
