"""Where jobs run: the five calls every executor answers, and the values they exchange.

An executor knows processes, not dates. It must not let a job begin before its handle is recorded:
a daemon that dies in between would otherwise leave a job that nobody knows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from backfilld.state.pipeline.models import Pipeline
from backfilld.state.pipeline.sections import ExecutorSettings

Handle = str
"""What an executor needs to find a job again after a restart, as text it alone reads."""

RecordHandles = Callable[[Mapping[int, Handle]], None]
"""Commits the handles of attempts to the state database."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One attempt, ready to run: an argument vector that no shell parses."""

    attempt: int
    argv: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str] = field(default_factory=dict)
    pass_env: tuple[str, ...] = ()
    """Names of the daemon's own environment variables that the job may see."""
    processor: str = ""
    timeout: float = 30 * 60.0
    """Seconds after which the daemon will end it, for an executor that outlives the daemon."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobResult:
    """How a job ended. `code` is None when nobody can tell (lost, or killed before it could say)."""

    code: int | None
    ended_at: float
    detail: str = ""
    """Why the code is missing or what kept the job from starting; empty otherwise."""
    max_rss_bytes: int | None = None
    cpu_seconds: float | None = None
    tried: bool = True
    """False when the job was never let go, as when the daemon died before: no attempt is used up."""

    @classmethod
    def lost(cls, why: str, *, at: float) -> JobResult:
        """The end of a job of which nobody can tell how it ended."""
        return cls(code=None, ended_at=at, detail=f"lost: {why}")

    @classmethod
    def never_began(cls, why: str = "never started", *, at: float) -> JobResult:
        """The end of a job that was never let go."""
        return replace(cls.lost(why, at=at), tried=False)

    @classmethod
    def cannot_start(cls, why: str, *, at: float) -> JobResult:
        """The end of a job that its place refuses."""
        return cls(code=None, ended_at=at, detail=f"cannot start: {why}")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStatus:
    """What an executor sees of one attempt: its last sign of life, and its exit once it ended."""

    attempt: int
    output_at: float
    """Epoch seconds of the last output, or of the start when there was none."""
    exit: JobResult | None = None
    elsewhere: str = ""
    """Where it runs, if that is out of this executor's sight: then nothing else is known of it."""
    status_message: str = ""
    """What keeps it from beginning, or from being seen; empty when nothing does."""


class Executor(Protocol):
    """Runs jobs somewhere. All calls return at once, save `launch`, which starts processes."""

    @property
    def unavailable_reason(self) -> str:
        """What has to come before any job can start here, as `waiting_on` tells it; empty when nothing."""

    def launch(self, jobs: Sequence[Job], record: RecordHandles) -> None:
        """Hold each job ready, `record` all handles, then let the jobs begin.

        If `record` raises, no job begins and the error goes up. `poll` reports a job that cannot start.
        """

    def poll(self) -> list[JobStatus]:
        """Every attempt under way, and once each attempt that has ended since the last call."""

    def stop(self, attempt: int, grace: float) -> None:
        """Ask the job to end, make it end after `grace` seconds; idempotent, also for unknown attempts."""

    def log(self, attempt: int) -> Path:
        """The file that holds the attempt's output; it may not exist yet."""

    def recover(self, running: Mapping[int, Handle | None]) -> None:
        """After a restart: adopt what still lives. What does not live is reported by `poll` with its exit."""

    def close(self) -> None:
        """Look no more; jobs live on and are recovered at the next start. Idempotent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutorAdapter:
    """A kind of executor: what its folder exposes as ADAPTER. Importing it imports no client library."""

    settings: type[ExecutorSettings]
    """The model of `[executor.NAME]`."""
    open: Callable[[Pipeline, str, Path, Callable[[], None]], Executor]
    """The executor of a pipeline by name, with the directory of logs and the callback for jobs that end."""
