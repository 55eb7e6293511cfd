"""Runs in a Dask worker: one job with the local executor, killed by another process if the worker dies."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from distributed import Queue, Status, Worker, get_worker

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
_SERVING = (Status.running, Status.paused)
_jobs: dict[str, tuple[LocalExecutor, int] | None] = {}
"""By key; None while a job waits at its gate, so that a report names it before it can have begun."""
_stopped: set[str] = set()


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
        _jobs[key] = local, job.attempt
        result = _wait(local, job.attempt, ended, worker)
        size, tail = _tail(local.log(job.attempt))
        return asdict(Outcome(result=result, size=size, tail=tail))


def report(copied: Mapping[str, int], stops: Mapping[str, float]) -> dict[str, bytes]:
    """The next chunk of output of each job in this worker, by key. The daemon calls it on every worker.

    `copied` has the bytes that the daemon has already, `stops` the seconds of grace of jobs to stop.
    """
    chunks = {}
    for key, job in list(_jobs.items()):
        if key not in copied:
            continue
        if job is None:
            _stopped.update({key} & stops.keys())
            chunks[key] = b""
            continue
        local, attempt = job
        if key in stops:
            local.stop(attempt, stops[key])
        chunks[key] = _read(local.log(attempt), copied[key], CHUNK_BYTES)
    return chunks


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


def _wait(local: LocalExecutor, attempt: int, ended: threading.Event, worker: Worker) -> JobResult:
    """Wait for the job's end. A worker that closes kills the job."""
    while True:
        ended.wait(_POLL_SECONDS)
        ended.clear()
        if worker.status not in _SERVING:
            local.stop(attempt, grace=0.0)
        for status in local.poll():
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
