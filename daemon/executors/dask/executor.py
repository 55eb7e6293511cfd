"""Runs jobs as processes on the workers of a Dask cluster, which keeps them while the daemon is away."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from distributed import Future

from backfilld.daemon.executors.adapter import Handle, Job, JobLog, JobResult, JobStatus, RecordHandles
from backfilld.daemon.executors.dask import worker
from backfilld.daemon.executors.dask.attempt_registry import DaskAttempt, DaskAttempts, Launch
from backfilld.daemon.executors.dask.availability import Availability
from backfilld.daemon.executors.dask.client import DaskClient, DaskHandle, WorkerReport, task_outcome
from backfilld.daemon.executors.dask.connection import UNAVAILABLE
from backfilld.daemon.executors.dask.log_and_result_copies import DaskFiles
from backfilld.daemon.executors.dask.settings import DaskSettings
from backfilld.daemon.executors.poll_thread import PollThread

_POLL_SECONDS = 1.0
_LOST_AFTER_POLLS = 3


class DaskExecutor:
    """An executor on a Dask cluster. Logs and results are copied to files under `root`.

    Only the polling thread talks to the scheduler. While that or a worker does not answer, attempts are
    reported as unreachable. `on_end` is called in that thread or the caller's, must return at once and must
    not raise.
    """

    def __init__(
        self,
        root: Path,
        settings: DaskSettings,
        *,
        on_end: Callable[[], None] = lambda: None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._files = DaskFiles(root)
        self._settings = settings
        self._on_end = on_end
        self._now = now
        self._client: DaskClient | None = None
        self._availability = Availability(settings.scheduler, since=now())
        self._attempts = DaskAttempts(self._files)
        self._thread = PollThread("Dask", self._poll, interval=_POLL_SECONDS)
        self._thread.start()

    @property
    def unavailable_reason(self) -> str:
        """That no scheduler answers, or none of its workers can run a job; else empty."""
        return self._availability.reason

    @property
    def fault(self) -> str:
        """What is wrong with the polling thread; empty when all is well."""
        return self._thread.fault

    def log(self, attempt: int) -> JobLog:
        """The copy of the attempt's output, about a second old while it runs."""
        return self._files.log(attempt)

    def launch(self, jobs: Sequence[Job], record: RecordHandles) -> None:
        """Have the polling thread submit the jobs, `record` all handles in one call, then start the jobs.

        If `record` raises, none begins. Without a scheduler, `poll` reports that the jobs cannot start.
        """
        for job in jobs:
            self._files.remove(job.attempt)
        self._attempts.launch(Launch(jobs, record))
        self._thread.wake()

    def poll(self) -> list[JobStatus]:
        """Every running attempt, and once each that has ended."""
        results, pending, running = self._attempts.poll()
        waits, now = "waits to be submitted to the scheduler", self._now()
        return [
            *(
                JobStatus(attempt=n, output_at=result.ended_at, result=result)
                for n, result in results.items()
            ),
            *(JobStatus(attempt=n, output_at=now, status_message=waits) for n in pending),
            *(self._status(attempt, run) for attempt, run in running.items()),
        ]

    def stop(self, attempt: int, grace: float) -> None:
        """SIGTERM to every process of the attempt, SIGKILL after `grace` seconds.

        A second call can shorten the grace, not extend it.
        """
        self._attempts.stop(attempt, grace)
        self._thread.wake()

    def recognizes(self, handle: Handle) -> bool:
        """Whether the handle is of a job on this scheduler, by its address or, once connected, by its id."""
        try:
            found = DaskHandle.parse(handle)
        except ValueError:
            return False
        client = self._client
        return found.address in {"", self._settings.scheduler} or (
            client is not None and found.scheduler == client.scheduler
        )

    def recover(self, running: Mapping[int, Handle | None]) -> None:
        """Adopt an earlier daemon's attempts: by their result files, else by what the cluster keeps."""
        for attempt in self._attempts.unknown(running.keys()):
            text = running[attempt]
            try:
                handle = DaskHandle.parse(text) if text is not None else None
            except ValueError as error:
                self._report(attempt, JobResult.lost(str(error), at=self._now()))
                continue
            if handle is None:
                self._report(attempt, JobResult.never_began(at=self._now()))
                continue
            self._attempts.recover(attempt, handle)
            if result := self._files.load_result(attempt, handle.key):
                self._report(attempt, result)
        self._thread.wake()

    def close(self) -> None:
        """Stop polling. Jobs keep running in the cluster for the next executor to adopt. Idempotent."""
        self._thread.close()
        self._attempts.forget_reported()
        with suppress(*UNAVAILABLE):
            self._forget_closed()
        self._disconnect()

    def _status(self, attempt: int, run: DaskAttempt) -> JobStatus:
        at = run.output_at or self._now()
        if (run.future is None or run.unreported) and not run.save_error:
            where = run.worker if run.future is not None else self._settings.scheduler
            return JobStatus(attempt=attempt, output_at=at, unreachable_at=where)
        pending = "" if run.worker else "no worker that answers has begun it"
        message = self._thread.status_message or run.save_error or pending
        return JobStatus(attempt=attempt, output_at=at, status_message=message)

    def _report(self, attempt: int, result: JobResult) -> None:
        """Have `poll` report how an attempt ended, once its result is saved."""
        self._thread.progress()
        self._attempts.end(attempt, result, self._on_end)

    def _forget_closed(self) -> None:
        keys = self._attempts.to_forget
        while keys and self._client is not None:
            self._thread.progress()
            self._client.forget(keys[0])
            keys.popleft()

    # ---- in the polling thread

    def _poll(self) -> bool:
        """Poll the cluster once; False, as the next poll can wait."""
        try:
            self._poll_cluster()
        except UNAVAILABLE as error:
            self._thread.progress()
            if self._client is None:
                self._refuse_launches(self._availability.refusal(error))
            self._disconnect()
        return False

    def _poll_cluster(self) -> None:
        """Connect, submit, adopt, collect results, copy output, pass on stops."""
        client = self._client or self._connect()
        client.check()
        self._probe(client)
        self._forget_closed()
        self._submit_launches(client)
        for attempt, run in self._attempts.running.items():
            self._thread.progress()
            if run.future is None:
                self._adopt(client, attempt, run)
            if run.future is not None and run.future.cancelled():
                run.future = None  # by a lost connection, which says nothing about the job
            elif run.future is not None and run.future.done():
                with suppress(*UNAVAILABLE):  # its worker may not answer while others do
                    self._collect(client, attempt, run, task_outcome(run.future, at=self._now()))
        running = {n: run for n, run in self._attempts.running.items() if run.future is not None}
        if running:
            self._follow(client, running)

    def _connect(self) -> DaskClient:
        """A client of the scheduler. Raises OSError when there is none."""
        client = DaskClient(self._settings, self._thread.wake)
        with ExitStack() as undo:
            undo.callback(client.close)
            self._thread.progress()
            undo.pop_all()
        self._client = client
        self._availability.connected()
        self._on_end()  # dates that wait for the scheduler can go on
        return client

    def _probe(self, client: DaskClient) -> None:
        """Check whether a worker can run jobs. Dates that waited for such a worker go on."""
        before, error = self._availability.import_error, client.probe_workers()
        self._availability.import_error = error
        if error:
            self._refuse_launches(f"no Dask worker can import backfilld ({error})")
        elif before:
            self._on_end()

    def _disconnect(self) -> None:
        """Drop the connection; every attempt is unreachable then."""
        client, self._client = self._client, None
        self._attempts.disconnect()
        if client is not None:
            self._availability.disconnected(self._now())
            client.close()

    def _refuse_launches(self, why: str) -> None:
        """Report that the jobs that wait to be submitted cannot start; no attempt is used up."""
        while self._attempts.next_launch():
            self._end_launch(why)

    def _submit_launches(self, client: DaskClient) -> None:
        for attempt in self._attempts.stopped_before_submission():
            self._report(attempt, JobResult.never_began("ended before it began", at=self._now()))
        while launch := self._attempts.next_launch():
            submitted = self._submit(client, launch)
            starting, _ = self._attempts.finish_launch(submitted)
            with suppress(*UNAVAILABLE):  # the jobs give up waiting, and report that they never began
                for attempt in starting:
                    client.start(submitted[attempt].handle.key)

    def _submit(self, client: DaskClient, launch: Launch) -> dict[int, DaskAttempt]:
        """Submit the jobs and record their handles. When the scheduler does not answer, the launch waits."""
        with ExitStack() as undo:
            submitted = {job.attempt: self._submit_job(client, job, undo) for job in launch.jobs}
            self._thread.progress()
            undo.callback(self._end_launch, "its handle could not be recorded")
            if submitted:
                launch.record({attempt: run.handle.text() for attempt, run in submitted.items()})
            undo.pop_all()
        return submitted

    def _end_launch(self, why: str) -> None:
        """Report the jobs of the oldest launch as never begun."""
        _, not_submitted = self._attempts.finish_launch({})
        for attempt in not_submitted:
            self._report(attempt, JobResult.never_began(why, at=self._now()))

    def _submit_job(self, client: DaskClient, job: Job, undo: ExitStack) -> DaskAttempt:
        self._thread.progress()
        key = f"backfilld-{job.attempt}-{uuid.uuid4().hex}"
        workers = client.required_workers
        future = client.submit(job, key, workers)
        undo.callback(_abort, client, key, future)
        address = self._settings.scheduler
        handle = DaskHandle(key=key, scheduler=client.scheduler, address=address, workers=workers)
        return DaskAttempt(handle=handle, future=future)

    def _adopt(self, client: DaskClient, attempt: int, run: DaskAttempt) -> None:
        """Find the task that the cluster keeps under the attempt's key."""
        if run.handle.scheduler != client.scheduler:
            why = "the scheduler was restarted, and its workers ended their jobs"
            self._report(attempt, JobResult.lost(why, at=self._now()))
            return
        run.future = client.find(run.handle.key)
        if run.future is None:
            self._report(attempt, JobResult.never_began(at=self._now()))

    def _collect(self, client: DaskClient, attempt: int, run: DaskAttempt, outcome: worker.Outcome) -> None:
        """Copy the end of the output, and report the result."""
        self._files.append_tail(attempt, outcome)
        if outcome.result.code is None and outcome.result.began and run.kill_at is None:
            self._report_gone(client, attempt, run, outcome.result)
        else:
            self._report(attempt, outcome.result)

    def _report_gone(self, client: DaskClient, attempt: int, run: DaskAttempt, lost: JobResult) -> None:
        """Report a job without an exit code: as preempted, if the cluster retired its worker.

        A cluster moves the task of a retired worker while that still ends the job. So a job that was seen is
        reported only once its worker does not report it, and as lost only after some polls.
        """
        if run.output_at is not None and not run.missed_polls:
            return
        if retired := client.retired(run.workers):
            lost = _preempted(min(retired), at=lost.ended_at)
        elif run.output_at is not None and run.missed_polls < _LOST_AFTER_POLLS:
            return
        self._report(attempt, lost)

    def _follow(self, client: DaskClient, running: Mapping[int, DaskAttempt]) -> None:
        """Copy what running jobs have written since the last poll, and pass on which jobs to stop."""
        copied, stops = {}, {}
        for attempt, run in running.items():
            copied[run.handle.key] = self._files.copied(attempt)
            if run.kill_at is not None:
                stops[run.handle.key] = max(run.kill_at - time.monotonic(), 0.0)
        known = {run.handle.key: run.workers for run in running.values()}
        reports, silent = client.poll_workers(copied, stops, known)
        for attempt, run in running.items():
            report = reports.get(run.handle.key)
            run.unreported = report is None and bool(run.worker)
            if report is not None:
                self._on_seen(attempt, run, report)
            elif not silent or (run.worker and run.worker not in silent):
                self._on_missing(client, attempt, run)
            # A job that was never reported may have begun on a silent worker: Dask or that worker will tell.

    def _on_seen(self, attempt: int, run: DaskAttempt, report: WorkerReport) -> None:
        chunk = report.chunk
        if chunk is None:
            self._report(attempt, _preempted(report.worker, at=self._now()))
            return
        if chunk or not run.worker:
            run.output_at = self._now()
        if report.worker != run.worker:
            run.earlier_workers.add(run.worker)
        run.worker, run.missed_polls, run.save_error = report.worker, 0, ""
        with suppress(OSError):  # such as a full disk: the next poll asks for the same chunk
            self._files.append(attempt, chunk)
            if len(chunk) == worker.CHUNK_BYTES:
                self._thread.wake()  # there is more

    def _on_missing(self, client: DaskClient, attempt: int, run: DaskAttempt) -> None:
        """No worker has the job: it has yet to begin, has just ended, or its worker is gone."""
        required = run.handle.workers
        if run.output_at is None and required and client.able_workers.isdisjoint(required):
            if client.revoke(run.handle.key):  # they may be back under other addresses: it is submitted anew
                why = "the workers that it was submitted to are gone"
                self._report(attempt, JobResult.never_began(why, at=self._now()))
            return
        if run.output_at is None and run.kill_at is not None:
            if client.revoke(run.handle.key):
                self._report(attempt, JobResult.never_began("ended before it began", at=self._now()))
            else:
                run.output_at = self._now()
        elif run.output_at is not None:
            run.missed_polls += 1
            lost = run.missed_polls >= _LOST_AFTER_POLLS
            if lost and run.future is not None and not run.future.done():
                self._report_gone(client, attempt, run, JobResult.lost("its worker is gone", at=self._now()))


def _preempted(address: str, *, at: float) -> JobResult:
    return JobResult.preempted(f"its worker {address} was retired", at=at)


def _abort(client: DaskClient, key: str, future: Future) -> None:
    with suppress(*UNAVAILABLE):
        client.abort(key, future)
