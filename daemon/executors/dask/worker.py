"""What runs in a Dask worker: one job, by the local executor, which a guardian ends if the worker dies."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from distributed import Queue, Status, Worker, get_worker

from backfilld.daemon.executors.adapter import Job, JobResult
from backfilld.daemon.executors.dask.orphan_killer import OrphanKiller
from backfilld.daemon.executors.local.executor import LocalExecutor

GO = "go"
"""The word at a job's gate that lets it begin. Whoever takes it leaves another, so that none begins again."""
WITHHELD = "withheld"
"""The word that tells a job that it shall never begin."""
GATE_SECONDS = 30.0
"""How long a job waits for the word: whoever submitted it is dead if it does not come."""

PIECE = 256 * 1024
"""Bytes of output handed over at a time while the job runs."""
TAIL = 1024 * 1024
"""Bytes of output handed over with its end."""

_LOOK_SECONDS = 1.0
_SERVING = (Status.running, Status.paused)
_jobs: dict[str, tuple[LocalExecutor, int] | None] = {}
"""By key; None while a job is held at its gate, so that it is seen here before it can have begun."""
_unwanted: set[str] = set()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a job ended, how many bytes it wrote, and the last of them."""

    exit: JobResult
    size: int = 0
    tail: bytes = b""


def run(job: Job) -> dict[str, object]:
    """The task: let the job begin if that is allowed, wait until nothing of it is left, tell how it ended.

    The Outcome is told as plain values, which a daemon of any version can at least look at.
    Dask runs a task again when its worker or its result is lost. A job is never run again: its gate says so.
    """
    worker = get_worker()
    key = str(worker.get_current_task())
    ended = threading.Event()
    with ExitStack() as closing:
        _jobs[key] = None
        closing.callback(_unwanted.discard, key)
        closing.callback(_jobs.pop, key)
        if refused := _refused(key, worker.address):
            return asdict(Outcome(exit=refused))
        folder = Path(tempfile.mkdtemp(prefix="backfilld-"))
        guardian = OrphanKiller(folder)
        closing.callback(guardian.dismiss)
        local = LocalExecutor(folder, on_end=ended.set)
        closing.callback(local.close)
        local.launch([job], guardian.record)
        _jobs[key] = local, job.attempt
        end = _end(local, job.attempt, ended, worker)
        size, tail = _tail(local.log(job.attempt))
        return asdict(Outcome(exit=end, size=size, tail=tail))


def look(written: Mapping[str, int], stops: Mapping[str, float]) -> dict[str, bytes]:
    """Of the jobs in this worker, by key: the next piece of output after so many bytes. Called by broadcast.

    `stops` are seconds of grace for those that shall end.
    """
    found = {}
    for key, job in list(_jobs.items()):
        if key not in written:
            continue
        if job is None:
            _unwanted.update({key} & stops.keys())
            found[key] = b""
            continue
        local, attempt = job
        if key in stops:
            local.stop(attempt, stops[key])
        found[key] = _piece(local.log(attempt), written[key])
    return found


def _refused(key: str, address: str) -> JobResult | None:
    """The end of a job that may not begin; None when it may."""
    gate = Queue(key)
    word = _word(gate, key)
    gate.put(address if word == GO else word)
    gate.close()
    if word == GO:
        return None
    if word == WITHHELD:
        return JobResult.never_began(at=time.time())
    return JobResult.lost(f"its worker {word} is gone", at=time.time())


def _word(gate: Queue, key: str) -> str:
    """What the gate says; that the job is withheld, if nothing comes in time or it is to be stopped."""
    give_up_at = time.monotonic() + GATE_SECONDS
    while True:
        try:
            return str(gate.get(timeout=_LOOK_SECONDS))
        except TimeoutError:
            if key in _unwanted or time.monotonic() > give_up_at:
                return WITHHELD


def _end(local: LocalExecutor, attempt: int, ended: threading.Event, worker: Worker) -> JobResult:
    """Wait for the job's end; a worker that is told to close does not wait."""
    while True:
        ended.wait(_LOOK_SECONDS)
        ended.clear()
        if worker.status not in _SERVING:
            local.stop(attempt, grace=0.0)
        for seen in local.poll():
            if seen.exit is not None:
                return seen.exit


def _tail(log: Path) -> tuple[int, bytes]:
    try:
        size = log.stat().st_size
    except OSError:
        return 0, b""
    return size, _piece(log, max(size - TAIL, 0), TAIL)


def _piece(log: Path, start: int, length: int = PIECE) -> bytes:
    try:
        with log.open("rb") as file:
            file.seek(start)
            return file.read(length)
    except OSError:  # none yet, or cleared by now
        return b""
