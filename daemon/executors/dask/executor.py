"""Runs jobs as processes on the workers of a Dask cluster, which keeps them while the daemon is away."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from distributed import Future

from backfilld.daemon.executors import attempt_files
from backfilld.daemon.executors.adapter import Handle, Job, JobResult, JobStatus, RecordHandles
from backfilld.daemon.executors.dask import worker
from backfilld.daemon.executors.dask.client import UNAVAILABLE, DaskClient, DaskHandle, WorkerReport, outcome
from backfilld.daemon.executors.poll_thread import PollThread
from backfilld.state.pipeline.sections import DaskSettings

_LOOK_SECONDS = 1.0
_ABSENT_LOOKS = 3


@dataclass(slots=True, kw_only=True)
class _Run:
    """One attempt under way. Without a future it is out of sight: the scheduler has yet to be asked."""

    ticket: DaskHandle
    future: Future | None = None
    output_at: float | None = None
    """None until a worker was seen at it."""
    worker: str = ""
    """The address of that worker."""
    hidden: bool = False
    """Whether no worker spoke of it when last asked."""
    absent: int = 0
    unnoted: str = ""
    """Why its end could not be noted; empty until that is so."""
    kill_at: float | None = None


class DaskExecutor:
    """An executor on a Dask cluster. Logs and exits are copied to files under `root`.

    A thread talks to the scheduler; while that or a worker is away, attempts are reported as elsewhere.
    `on_end` is called in that thread or the caller's, must return at once and not raise.
    """

    def __init__(
        self,
        root: Path,
        cluster: DaskSettings,
        *,
        on_end: Callable[[], None] = lambda: None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._root = root
        self._cluster = cluster
        self._on_end = on_end
        self._now = now
        self._link: DaskClient | None = None
        self._lock = threading.Lock()
        self._runs: dict[int, _Run] = {}
        self._exits: dict[int, JobResult] = {}
        self._reported: list[int] = []
        self._closed: dict[int, str] = {}
        self._settled: deque[str] = deque()
        self._watch = PollThread("Dask", self._look_around, poll_interval=_LOOK_SECONDS)
        self._watch.start()

    @property
    def unavailable_reason(self) -> str:
        """That no scheduler answers; empty while one does."""
        return "" if self._link else f"a Dask scheduler that answers at {self._cluster.scheduler}"

    def log(self, attempt: int) -> Path:
        """The copy of the attempt's output, about a second old while it runs."""
        return self._file(attempt, "log")

    def launch(self, jobs: Sequence[Job], record: RecordHandles) -> None:
        """Hand the jobs over to the cluster, `record` all handles in one call, then let the jobs begin.

        If `record` raises, none begins. Without a scheduler, `poll` reports that the jobs cannot start.
        """
        link = self._link
        for job in jobs:
            for kind in ("log", "exit"):
                self._file(job.attempt, kind).unlink(missing_ok=True)
        with ExitStack() as undo:
            runs = self._hold(link, jobs, undo) if link is not None else {}
            for number in {job.attempt for job in jobs} - runs.keys():
                why = f"no Dask scheduler answers at {self._cluster.scheduler}"
                self._report(number, JobResult.cannot_start(why, at=self._now()))
            if runs:
                record({attempt: run.ticket.text() for attempt, run in runs.items()})
            undo.pop_all()
        with self._lock:
            self._runs |= runs
        if link is not None:
            with suppress(*UNAVAILABLE):  # they give up waiting, and say that they never began
                for run in runs.values():
                    link.release(run.ticket.key)
        self._watch.wake()

    def poll(self) -> list[JobStatus]:
        """Every attempt under way, and once each that has ended."""
        with self._lock:
            reported, self._reported = self._reported, list(self._exits)
            exits, self._exits = self._exits, {}
            ended = [JobStatus(attempt=n, output_at=end.ended_at, exit=end) for n, end in exits.items()]
            seen = [*ended, *(self._observe(attempt, run) for attempt, run in self._runs.items())]
            # Who polls again has closed what was reported, or finds it once more by its exit file.
            self._let_go(reported)
        return seen

    def stop(self, attempt: int, grace: float) -> None:
        """SIGTERM to every process of the attempt, SIGKILL after `grace` seconds; later only ever sooner."""
        with self._lock:
            run = self._runs.get(attempt)
            if run is None:
                return
            kill_at = time.monotonic() + grace
            run.kill_at = kill_at if run.kill_at is None else min(run.kill_at, kill_at)
        self._watch.wake()

    def recover(self, running: Mapping[int, Handle | None]) -> None:
        """Take up an earlier daemon's attempts: by notes of their ends, else by what the cluster keeps."""
        for attempt in running.keys() - self._runs.keys():
            handle = running[attempt]
            try:
                ticket = DaskHandle.parse(handle) if handle is not None else None
            except ValueError as error:
                self._report(attempt, JobResult.lost(str(error), at=self._now()))
                continue
            if ticket is None:
                self._report(attempt, JobResult.never_began(at=self._now()))
                continue
            with self._lock:
                self._runs[attempt] = _Run(ticket=ticket)
            if known := self._noted(attempt, ticket.key):
                self._report(attempt, known)
        self._watch.wake()

    def close(self) -> None:
        """End the watch. Jobs live on in the cluster, for the next executor to adopt. Idempotent."""
        self._watch.close()
        self._let_go(self._reported)
        with suppress(*UNAVAILABLE):
            self._forget()
        self._drop()

    def _file(self, attempt: int, kind: str) -> Path:
        return attempt_files.attempt_file(self._root, attempt, kind)

    def _observe(self, attempt: int, run: _Run) -> JobStatus:
        at = run.output_at or self._now()
        if (run.future is None or run.hidden) and not run.unnoted:
            where = run.worker if run.future is not None else self._cluster.scheduler
            return JobStatus(attempt=attempt, output_at=at, elsewhere=where)
        pending = "" if run.worker else "no worker that answers has begun it"
        status_message = self._watch.status_message or run.unnoted or pending
        return JobStatus(attempt=attempt, output_at=at, status_message=status_message)

    def _hold(self, link: DaskClient, jobs: Sequence[Job], undo: ExitStack) -> dict[int, _Run]:
        """The jobs, held by the cluster, as many as it takes; `undo` is told how to let go of them."""
        runs = {}
        with suppress(*UNAVAILABLE):
            for job in jobs:
                key = f"backfilld-{job.attempt}-{uuid.uuid4().hex}"
                future = link.hold(job, key)
                undo.callback(self._abandon, link, key, future)
                runs[job.attempt] = _Run(ticket=DaskHandle(key=key, scheduler=link.scheduler), future=future)
        return runs

    def _abandon(self, link: DaskClient, key: str, future: Future) -> None:
        with suppress(*UNAVAILABLE):
            link.abandon(key, future)

    def _note(self, attempt: int, key: str, end: JobResult) -> None:
        """Keep an exit, for a daemon that finds its attempt open though the cluster has forgotten it."""
        attempt_files.replace(self._file(attempt, "exit"), json.dumps({"key": key, "exit": asdict(end)}))

    def _noted(self, attempt: int, key: str) -> JobResult | None:
        """The exit that was kept of this very job. One that cannot be read is none: the cluster is asked."""
        try:
            noted = json.loads(self._file(attempt, "exit").read_text("utf-8"))
            return JobResult(**noted["exit"]) if noted["key"] == key else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _report(self, attempt: int, end: JobResult) -> None:
        """Have `poll` tell how an attempt ended, once that is noted."""
        run = self._runs.get(attempt)
        if run is not None:
            try:
                self._note(attempt, run.ticket.key, end)
            except OSError as error:  # a full disk, say: the next look finds the end again
                run.unnoted = f"its end cannot be noted: {error.strerror}"
                return
        with self._lock:
            if self._runs.pop(attempt, None) is not None and run is not None:
                self._closed[attempt] = run.ticket.key
            self._exits[attempt] = end
        self._on_end()

    def _let_go(self, attempts: Sequence[int]) -> None:
        """Have the cluster keep these no longer, once it can be told."""
        self._settled.extend(key for n in attempts if (key := self._closed.pop(n, None)) is not None)

    def _forget(self) -> None:
        while self._settled and self._link is not None:
            self._link.forget(self._settled[0])
            self._settled.popleft()

    def _look_around(self) -> bool:
        """One look; False, as the next one can wait."""
        try:
            self._look()
        except UNAVAILABLE:
            self._drop()
        return False

    def _look(self) -> None:
        """One look at the cluster: connect, adopt, collect what ended, copy output, end what shall end."""
        link = self._link or self._connect()
        link.check()
        self._forget()
        with self._lock:
            runs = dict(self._runs)
        for attempt, run in runs.items():
            if run.future is None:
                self._adopt(link, attempt, run)
            if run.future is not None and run.future.cancelled():
                run.future = None  # by a lost connection, which says nothing of the job
            elif run.future is not None and run.future.done():
                with suppress(*UNAVAILABLE):  # its worker may be away with it, and others not
                    self._collect(attempt, outcome(run.future, at=self._now()))
        with self._lock:
            runs = {attempt: run for attempt, run in self._runs.items() if run.future is not None}
        if runs:
            self._follow(link, runs)

    def _connect(self) -> DaskClient:
        """A link to the scheduler. Raises OSError when there is none."""
        self._link = DaskClient(self._cluster, self._watch.wake)
        self._on_end()  # what waited for it can begin
        return self._link

    def _drop(self) -> None:
        """The link is gone, and with it the sight of every attempt."""
        link, self._link = self._link, None
        with self._lock:
            for run in self._runs.values():
                run.future, run.hidden = None, bool(run.worker)
        if link is not None:
            link.close()

    def _adopt(self, link: DaskClient, attempt: int, run: _Run) -> None:
        """Take up what the cluster keeps under the run's key."""
        if run.ticket.scheduler != link.scheduler:
            why = "the scheduler was restarted, and its workers ended their jobs"
            self._report(attempt, JobResult.lost(why, at=self._now()))
            return
        run.future = link.find(run.ticket.key)
        if run.future is None:
            self._report(attempt, JobResult.never_began(at=self._now()))

    def _collect(self, attempt: int, found: worker.Outcome) -> None:
        """Copy the last of the output, and note the end."""
        with suppress(OSError), self._open_log(attempt) as log:  # how it ended matters more
            have = log.tell()
            start = found.size - len(found.tail)
            if have < start:
                log.write(f"\n[backfilld: {start - have} bytes of output were not copied]\n".encode())
            log.write(found.tail[max(have - start, 0) :])
        self._report(attempt, found.exit)

    def _follow(self, link: DaskClient, runs: Mapping[int, _Run]) -> None:
        """Copy what running jobs have written since the last look, and pass on who shall end."""
        written, stops = {}, {}
        for attempt, run in runs.items():
            written[run.ticket.key] = self._copied(attempt)
            if run.kill_at is not None:
                stops[run.ticket.key] = max(run.kill_at - time.monotonic(), 0.0)
        seen, silent = link.look(written, stops)
        for attempt, run in runs.items():
            sight = seen.get(run.ticket.key)
            run.hidden = sight is None and bool(run.worker)
            if sight is not None:
                self._saw(attempt, run, sight)
            elif not silent or (run.worker and run.worker not in silent):
                self._missed(link, attempt, run)
            # What was never seen may have begun at a worker that is silent now: Dask says so, or it speaks.

    def _saw(self, attempt: int, run: _Run, sight: WorkerReport) -> None:
        if sight.piece or not run.worker:
            run.output_at = self._now()
        run.worker, run.absent, run.unnoted = sight.worker, 0, ""
        with suppress(OSError):  # a full disk, say: the next look asks for the same piece
            with self._open_log(attempt) as log:
                log.write(sight.piece)
            if len(sight.piece) == worker.PIECE:
                self._watch.wake()  # there is more

    def _missed(self, link: DaskClient, attempt: int, run: _Run) -> None:
        """No worker has the job: it has yet to begin, has just ended, or its worker is gone."""
        if run.output_at is None and run.kill_at is not None:
            if link.withhold(run.ticket.key):
                self._report(attempt, JobResult.never_began("ended before it began", at=self._now()))
            else:
                run.output_at = self._now()
        elif run.output_at is not None:
            run.absent += 1
            if run.absent >= _ABSENT_LOOKS and run.future is not None and not run.future.done():
                self._report(attempt, JobResult.lost("its worker is gone", at=self._now()))

    def _copied(self, attempt: int) -> int:
        """How many bytes of output are here."""
        try:
            return self.log(attempt).stat().st_size
        except OSError:
            return 0

    def _open_log(self, attempt: int) -> BinaryIO:
        """The copy of the log, at its end, for its owner only."""
        path = self.log(attempt)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return open(path, "ab", opener=attempt_files.private_opener)
