"""The attempts of a Dask executor, shared by the engine's thread and the polling thread."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from distributed import Future

from backfilld.daemon.executors.adapter import Job, JobResult, RecordHandles
from backfilld.daemon.executors.dask.client import DaskHandle
from backfilld.daemon.executors.dask.log_and_result_copies import DaskFiles


@dataclass(slots=True, kw_only=True)
class DaskAttempt:
    """A running attempt. It has no future until the scheduler was asked for its task."""

    handle: DaskHandle
    future: Future | None = None
    output_at: float | None = None
    """None until a worker reported the job."""
    worker: str = ""
    """The address of that worker."""
    earlier_workers: set[str] = field(default_factory=set)
    """Workers that reported the job before: Dask runs the task of a lost worker again, which is refused."""
    unreported: bool = False
    """Whether no worker reported the job at the last poll, though one did before."""
    missed_polls: int = 0
    save_error: str = ""
    """Why its result could not be saved; empty until then."""
    kill_at: float | None = None

    @property
    def workers(self) -> tuple[str, ...]:
        """All workers that reported it, the latest first."""
        return (self.worker, *(self.earlier_workers - {self.worker})) if self.worker else ()


@dataclass(frozen=True, slots=True)
class Launch:
    """Jobs that wait for the polling thread to submit them."""

    jobs: Sequence[Job]
    record: RecordHandles

    @property
    def attempts(self) -> list[int]:
        """The numbers of the jobs' attempts."""
        return [job.attempt for job in self.jobs]


class DaskAttempts:
    """Attempts from their launch until the cluster has forgotten them. Thread-safe."""

    def __init__(self, files: DaskFiles) -> None:
        self._files = files
        self._lock = threading.Lock()
        self._launches: deque[Launch] = deque()
        self._pending: dict[int, bool] = {}
        """Attempts that wait to be submitted, and whether they are to be stopped."""
        self._running: dict[int, DaskAttempt] = {}
        self._ended: dict[int, JobResult] = {}
        self._reported: list[int] = []
        self._closed: dict[int, str] = {}
        self.to_forget: deque[str] = deque()
        """Keys of jobs that the cluster may forget; for the polling thread."""

    @property
    def running(self) -> Mapping[int, DaskAttempt]:
        """A copy of the running attempts."""
        with self._lock:
            return dict(self._running)

    def poll(self) -> tuple[Mapping[int, JobResult], Collection[int], Mapping[int, DaskAttempt]]:
        """Results since the last call, attempts that wait to be submitted, and running attempts."""
        with self._lock:
            reported, self._reported = self._reported, list(self._ended)
            results, self._ended = self._ended, {}
            # A caller that polls again has closed what was reported, or finds it again by its result file.
            self._forget(reported)
            return results, list(self._pending), dict(self._running)

    def launch(self, launch: Launch) -> None:
        """Have the jobs wait to be submitted."""
        with self._lock:
            self._pending |= dict.fromkeys(launch.attempts, False)
            self._launches.append(launch)

    def stopped_before_submission(self) -> list[int]:
        """Attempts that were stopped while they waited to be submitted."""
        with self._lock:
            return [attempt for attempt, stopped in self._pending.items() if stopped]

    def next_launch(self) -> Launch | None:
        """The oldest launch that was not submitted, without the jobs that have ended meanwhile."""
        with self._lock:
            if not self._launches:
                return None
            launch = self._launches[0]
            return Launch([job for job in launch.jobs if job.attempt in self._pending], launch.record)

    def finish_launch(self, submitted: Mapping[int, DaskAttempt]) -> tuple[list[int], list[int]]:
        """End the oldest launch: the attempts of jobs to start, and those of jobs that were not submitted."""
        with self._lock:
            attempts = self._launches.popleft().attempts
            self._running |= submitted
            stopped = [attempt for attempt in submitted if self._pending.pop(attempt)]
            for attempt in stopped:  # not started: it waits at its gate until the permit is revoked
                self._running[attempt].kill_at = time.monotonic()
            starting = [attempt for attempt in submitted if attempt not in stopped]
            return starting, [attempt for attempt in attempts if attempt in self._pending]

    def stop(self, attempt: int, grace: float) -> None:
        """Have the attempt stopped and killed after `grace` seconds; a second call can shorten the grace."""
        with self._lock:
            if attempt in self._pending:
                self._pending[attempt] = True
            if run := self._running.get(attempt):
                kill_at = time.monotonic() + grace
                run.kill_at = kill_at if run.kill_at is None else min(run.kill_at, kill_at)

    def unknown(self, attempts: Collection[int]) -> set[int]:
        """Those of the attempts that neither run nor wait to be submitted."""
        with self._lock:
            return set(attempts) - self._running.keys() - self._pending.keys()

    def recover(self, attempt: int, handle: DaskHandle) -> None:
        """Add an attempt of an earlier daemon."""
        with self._lock:
            self._running[attempt] = DaskAttempt(handle=handle)

    def end(self, attempt: int, result: JobResult, on_end: Callable[[], None]) -> None:
        """Have `poll` report the result once it is saved."""
        run = self.running.get(attempt)
        if run is not None:
            try:
                self._files.save_result(attempt, run.handle.key, result)
            except OSError as error:  # such as a full disk: the next poll finds the result again
                run.save_error = f"its result cannot be saved: {error.strerror}"
                return
        with self._lock:
            self._pending.pop(attempt, None)
            if self._running.pop(attempt, None) is not None and run is not None:
                self._closed[attempt] = run.handle.key
            self._ended[attempt] = result
        on_end()

    def disconnect(self) -> None:
        """The connection is gone: every running attempt is unreachable."""
        with self._lock:
            for run in self._running.values():
                run.future, run.unreported = None, bool(run.worker)

    def forget_reported(self) -> None:
        """Have the cluster forget what `poll` has reported."""
        with self._lock:
            self._forget(self._reported)

    def _forget(self, attempts: Sequence[int]) -> None:
        self.to_forget.extend(key for n in attempts if (key := self._closed.pop(n, None)) is not None)
