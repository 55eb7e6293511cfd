"""Runs in a Dask worker: one job with the local executor, killed by another process if the worker dies.

A worker that the cluster retires stays open until its jobs have ended within their grace period, and the
daemon has their output. A worker that closes for another reason kills its jobs at once.
"""

from __future__ import annotations

import asyncio
import tempfile
import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from distributed import Queue, Status, Worker, WorkerPlugin, get_worker

from backfilld.daemon.executors.adapter import Job, JobLog, JobResult
from backfilld.daemon.executors.dask.orphan_killer import OrphanKiller
from backfilld.daemon.executors.local.executor import LocalExecutor

PERMIT = "go"
"""The token at a job's gate that lets it begin. Who takes it leaves another, so that no second run begins."""
REVOKED = "revoked"
"""The token that says that the job must not begin."""
GATE_SECONDS = 30.0
"""How long a job waits for a token. If none arrives, the client that submitted it is dead."""

CHUNK_BYTES = 256 * 1024
"""The most output that a report carries while the job runs."""
TAIL_BYTES = 1024 * 1024
"""The most output that an outcome carries."""

_POLL_SECONDS = 1.0
_EVENT_SECONDS = 2.0
"""How long the scheduler has to answer a worker that closes."""
_LAST_REPORTS_SECONDS = 10.0
"""How long a retired worker waits for the daemon to copy the last output of a job."""
_CLOSE_POLL_SECONDS = 0.1
_jobs: dict[str, _WorkerJob | None] = {}
"""By key; None while a job waits at its gate, so that a report names it before it can have begun."""
_stopped: set[str] = set()


@dataclass(slots=True)
class _WorkerJob:
    """A job that runs in this worker, or has ended and was not reported to its end."""

    local: LocalExecutor
    attempt: int
    grace: float
    on_retired_worker: bool = False
    size: int | None = None
    """Bytes of its log, once it has ended."""
    reported: threading.Event = field(default_factory=threading.Event)
    """Set once the daemon has the whole log, and knows that the job has ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a job ended, how many bytes it wrote, and the last of them."""

    result: JobResult
    size: int = 0
    tail: bytes = b""


def run(job: Job) -> dict[str, object]:
    """The task: start the job if it has a permit, wait for the end of its processes, return the outcome.

    The Outcome is returned as plain values, which a daemon of another version can at least unpickle. Dask
    runs a task again when its worker or its result is lost. The gate prevents a second run of the job.
    """
    worker = get_worker()
    key = str(worker.get_current_task())
    ended = threading.Event()
    with ExitStack() as closing:
        _jobs[key] = None
        closing.callback(_stopped.discard, key)
        closing.callback(_jobs.pop, key)
        if refused := _refused(key, worker.address):
            return asdict(Outcome(result=refused))
        directory = Path(tempfile.mkdtemp(prefix="backfilld-"))
        orphan_killer = OrphanKiller(directory)
        closing.callback(orphan_killer.close)
        local = LocalExecutor(directory, on_end=ended.set)
        closing.callback(local.close)
        local.launch([job], orphan_killer.record)
        running = _jobs[key] = _WorkerJob(local, job.attempt, job.grace_period)
        closing.callback(worker.loop.add_callback, worker.plugins.pop, key, None)
        worker.loop.add_callback(_end_with_worker, worker, key, running)
        result = _wait(running, ended)
        size, tail = _tail(local.log(job.attempt))
        running.size = size
        if running.on_retired_worker:
            running.reported.wait(_LAST_REPORTS_SECONDS)
        return asdict(Outcome(result=result, size=size, tail=tail))


def report(copied: Mapping[str, int], stops: Mapping[str, float]) -> dict[str, bytes | None]:
    """The next chunk of output of each job in this worker, by key. The daemon calls it on every worker.

    None instead of a chunk says that the job has ended with its worker, which was retired.

    `copied` has the bytes that the daemon has already, `stops` the seconds of grace of jobs to stop.
    """
    chunks: dict[str, bytes | None] = {}
    for key, job in list(_jobs.items()):
        if key not in copied:
            continue
        if job is None:
            _stopped.update({key} & stops.keys())
            chunks[key] = b""
            continue
        if key in stops:
            job.local.stop(job.attempt, stops[key])
        if job.on_retired_worker and job.size is not None and job.size <= copied[key]:
            chunks[key] = None
            job.reported.set()
        else:
            chunks[key] = _read(job.local.log(job.attempt), copied[key], CHUNK_BYTES)
    return chunks


def is_retired(events: Iterable[tuple[float, Mapping[str, str]]]) -> bool:
    """Whether the cluster retires the latest worker of an address, by the scheduler's events."""
    for _, event in reversed(list(events)):
        if event["action"] == "worker-status-change":
            retiring = Status.closing_gracefully.name
            before = event["prev-status"] if event["status"] == Status.closing.name else event["status"]
            return bool(before == retiring)
        if event["action"] == "add-worker":
            break
    return False


class _EndJob(WorkerPlugin):  # type: ignore[misc]
    """Ends a job before its worker closes: within its grace period if the cluster retires the worker."""

    def __init__(self, key: str, job: _WorkerJob) -> None:
        self._key = key
        self._job = job

    async def teardown(self, worker: Worker) -> None:
        """Stop the job. A retired worker waits until it has ended and was reported."""
        job = self._job
        with suppress(OSError, TimeoutError):  # the daemon soon takes the attempt for lost
            events = worker.scheduler.events(topic=worker.address)
            job.on_retired_worker = is_retired(await asyncio.wait_for(events, _EVENT_SECONDS))
        grace = job.grace if job.on_retired_worker else 0.0
        job.local.stop(job.attempt, grace)
        give_up_at = time.monotonic() + grace + _LAST_REPORTS_SECONDS
        while job.on_retired_worker and self._key in _jobs and time.monotonic() < give_up_at:
            await asyncio.sleep(_CLOSE_POLL_SECONDS)


def _end_with_worker(worker: Worker, key: str, job: _WorkerJob) -> None:
    """Have the job end before its worker does. In the worker's event loop."""
    if worker.status in (Status.running, Status.paused):
        worker.plugins[key] = _EndJob(key, job)
    else:  # its plugins may be gone already
        job.local.stop(job.attempt, grace=0.0)


def _refused(key: str, address: str) -> JobResult | None:
    """The result of a job that may not begin; None when it may."""
    gate = Queue(key)
    token = _take_token(gate, key)
    gate.put(address if token == PERMIT else token)
    gate.close()
    if token == PERMIT:
        return None
    if token == REVOKED:
        return JobResult.never_began(at=time.time())
    return JobResult.lost(f"its worker {token} is gone", at=time.time())


def _take_token(gate: Queue, key: str) -> str:
    """The token at the gate; REVOKED if none arrives in time or the job is to be stopped."""
    give_up_at = time.monotonic() + GATE_SECONDS
    while True:
        try:
            return str(gate.get(timeout=_POLL_SECONDS))
        except TimeoutError:
            if key in _stopped or time.monotonic() > give_up_at:
                return REVOKED


def _wait(job: _WorkerJob, ended: threading.Event) -> JobResult:
    """Wait for the job's end."""
    while True:
        ended.wait(_POLL_SECONDS)
        ended.clear()
        for status in job.local.poll():
            if status.result is not None:
                return status.result


def _tail(log: JobLog) -> tuple[int, bytes]:
    try:
        size = log.size() or 0
    except OSError:
        size = 0
    return size, _read(log, max(size - TAIL_BYTES, 0), TAIL_BYTES)


def _read(log: JobLog, start: int, length: int) -> bytes:
    try:
        return log.read(start, length)
    except OSError:  # the log does not exist yet, or was removed
        return b""
