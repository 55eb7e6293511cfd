"""Watches running attempts: enforces limits, closes ended ones, adopts them after a restart.

However a job ended, its output table is queried next.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from backfilld.daemon.clock_steps import STEP_SECONDS
from backfilld.daemon.engine import daily_budgets
from backfilld.daemon.engine.attempt_executors import supervisor
from backfilld.daemon.engine.context import EngineContext
from backfilld.daemon.engine.query_and_retry_scheduling import ClosedAttempt, read_processors, release
from backfilld.daemon.event_types import AttemptEnded, Event
from backfilld.daemon.executors.adapter import Executor, JobLog, JobResult, JobStatus
from backfilld.daemon.job_command import needs_dates_file
from backfilld.state.formatting import format_utc
from backfilld.state.records import AttemptRow, AttemptStatus
from backfilld.state.store import attempts, checks
from backfilld.state.store.attempts import AttemptEnd
from backfilld.state.store.database import Transaction
from backfilld.state.store.database_errors import DatabaseUnavailable

TAIL_BYTES = 2000
"""How much of a log's end is stored with the attempt."""
HOST_RETURN_SECONDS = 60.0
"""A job on another host is declared lost this long after its timeout and grace period. By then a daemon that
was restarted there has killed it, or the host is down."""


@dataclass(frozen=True, slots=True)
class EndedAttempt:
    """A running attempt whose job has ended, or cannot be running any more."""

    row: AttemptRow
    exit: JobResult
    end: AttemptEnd


class AttemptMonitor:
    """Supervises running attempts and closes those that ended."""

    def __init__(self, context: EngineContext, executors: Mapping[str, Executor]) -> None:
        self._context = context
        self._executors = executors
        self._supervisors: dict[int, Executor] = {}
        """The executor that reported each attempt at the latest poll."""
        # Limits count from here for jobs whose times were taken before the clock was set.
        self._limits_from = context.now()
        self._clock_valid_from = 0.0

    def restart_limits(self) -> None:
        """Count the limits of all running jobs from now, because the clock was set."""
        self._limits_from = self._clock_valid_from = self._context.now()

    def recover(self) -> None:
        """After a restart: pass every running attempt to its executor, which adopts it or reports its end."""
        self._adopt(self._running())

    def poll(self, running: Mapping[int, AttemptRow]) -> list[EndedAttempt]:
        """Check every running attempt once, and stop those over their limits. Returns those that ended."""
        ended = self._enforce_limits(self._poll_and_adopt(running, supervised=running), fenced=True)
        return [*ended, *self._abandoned(running)]

    def close_unprepared(self, ends: Mapping[int, JobResult]) -> None:
        """Close attempts whose jobs could not be prepared."""
        running = self._running()
        self._close_now([self._ended(running[number], end) for number, end in ends.items()], fenced=True)

    def supervise_standby(self) -> None:
        """On a standby: supervise the jobs that run on this host, which the leader cannot see.

        The standby records how they end; the leader decides what follows. Attempts without a handle are left
        out, because the leader is about to launch them.
        """
        running = self._running()
        supervised = {number: row for number, row in running.items() if row.handle is not None}
        local = [
            (row, job)
            for row, job in self._poll_and_adopt(running, supervised=supervised)
            if not job.unreachable_at
        ]
        self._close_now(self._enforce_limits(local, fenced=False), fenced=False)

    def _enforce_limits(
        self, jobs: Sequence[tuple[AttemptRow, JobStatus]], *, fenced: bool
    ) -> list[EndedAttempt]:
        """Stop the jobs over their limits. Returns the attempts that ended."""
        watched = [(row, job) for row, job in jobs if job.result is None and not job.unreachable_at]
        self._stop_overdue(watched, fenced=fenced)
        endings = [(row, job.result or self._presumed_lost(row, job)) for row, job in jobs]
        return [self._ended(row, end) for row, end in endings if end is not None]

    def _poll_and_adopt(
        self, running: Mapping[int, AttemptRow], *, supervised: Mapping[int, AttemptRow]
    ) -> list[tuple[AttemptRow, JobStatus]]:
        """Job statuses of the `supervised` attempts; attempts unknown to their executor are adopted."""
        jobs = self._poll(running)
        self._update_status_messages(supervised, jobs)
        # Claimed and perhaps never launched: the executor adopts the job or reports it as lost.
        self._adopt({number: row for number, row in supervised.items() if number not in jobs})
        return [(supervised[number], job) for number, job in jobs.items() if number in supervised]

    def _poll(self, running: Mapping[int, AttemptRow]) -> dict[int, JobStatus]:
        """Job statuses by attempt. A job whose attempt another daemon has closed is stopped at once."""
        jobs = {}
        self._supervisors.clear()
        for executor in self._executors.values():
            for job in executor.poll():
                jobs[job.attempt] = job
                self._supervisors[job.attempt] = executor
                if job.attempt not in running and job.result is None:
                    executor.stop(job.attempt, 0.0)
        return jobs

    def _update_status_messages(
        self, running: Mapping[int, AttemptRow], jobs: Mapping[int, JobStatus]
    ) -> None:
        """Record why attempts have not begun or are unreachable; a date that waits for one shows it."""
        status_messages = self._context.status_messages
        status_messages.clear()
        unreachable = {n: job.unreachable_at for n, job in jobs.items() if job.unreachable_at}
        missing = self._unsupervised(running)
        unreachable |= {n: self._gone(row) for n, row in missing.items()}
        # Not cleared first: the API reads it meanwhile.
        for number in self._context.unreachable.keys() - unreachable.keys():
            del self._context.unreachable[number]
        self._context.unreachable.update(unreachable)
        for number, row in running.items():
            if number in missing:
                status_messages[number] = (
                    f"no executor supervises it: {self._gone(row)}; restore it, or cancel its backfill;"
                    f" given up at {format_utc(self._given_up_at(row))}"
                )
            elif job := jobs.get(number):
                away = job.unreachable_at and (
                    f"out of sight, at {job.unreachable_at}; if that host is gone for good:"
                    f" backfilld mark-lost {number} --reason TEXT"
                )
                status_messages[number] = job.status_message or away

    def _presumed_lost(self, row: AttemptRow, job: JobStatus) -> JobResult | None:
        """The end of an unreachable attempt once it cannot be running any more; None before that."""
        settings, now = self._context.pipeline.job_settings(row.processor), self._context.now()
        if job.unreachable_at and row.stopping == AttemptStatus.LOST:
            why = f"declared lost by an operator; it ran out of sight, at {job.unreachable_at}"
            return replace(JobResult.lost(why, at=now), counts_as_attempt=False)
        limit = settings.timeout + settings.grace_period + HOST_RETURN_SECONDS
        if not job.unreachable_at or now - self._on_current_clock(row.started_at) <= limit:
            return None
        return JobResult.lost(f"it ran out of sight, at {job.unreachable_at}", at=now)

    def _unsupervised(self, running: Mapping[int, AttemptRow]) -> dict[int, AttemptRow]:
        """Attempts that no executor of the pipeline file reports or can find."""
        return {
            number: row
            for number, row in running.items()
            if number not in self._supervisors and supervisor(self._executors, row) is None
        }

    def _abandoned(self, running: Mapping[int, AttemptRow]) -> list[EndedAttempt]:
        """Attempts that no executor supervises: they end when cancelled, or at their limits."""
        now = self._context.now()
        return [
            self._ended(row, JobResult.lost(f"{self._gone(row)}; its job may still run", at=now))
            for row in self._unsupervised(running).values()
            if row.stopping is not None or now >= self._given_up_at(row)
        ]

    def _given_up_at(self, row: AttemptRow) -> float:
        """When an attempt that no executor supervises counts as lost, in epoch seconds."""
        settings = self._context.pipeline.job_settings(row.processor)
        return self._on_current_clock(row.started_at) + settings.timeout + settings.grace_period

    def _gone(self, row: AttemptRow) -> str:
        """What became of the executor that an attempt was launched on."""
        what = "was changed in" if row.executor in self._executors else "left"
        return f"[executor.{row.executor}] {what} the pipeline file"

    def _running(self) -> dict[int, AttemptRow]:
        with self._context.db.read() as tx:
            return {row.id: row for row in attempts.running(tx)}

    def _adopt(self, unknown: Mapping[int, AttemptRow]) -> None:
        found = {number: supervisor(self._executors, row) for number, row in unknown.items()}
        for executor in {id(executor): executor for executor in found.values() if executor}.values():
            executor.recover({n: unknown[n].handle for n, own in found.items() if own is executor})

    def _stop_overdue(self, watched: list[tuple[AttemptRow, JobStatus]], *, fenced: bool) -> None:
        """Stop attempts over their timeout or idle timeout, and those marked for stopping.

        Raises:
            DatabaseUnavailable: the reasons could not be recorded; the attempts are stopped all the same.
        """
        reasons = {row.id: reason for row, job in watched if (reason := self._overdue(row, job)) is not None}
        over = [row for row, _ in watched if row.id in reasons or row.stopping is not None]
        try:
            self._record_stop_reasons(
                {row.id: reasons[row.id] for row in over if row.stopping is None}, fenced=fenced
            )
        except DatabaseUnavailable:
            self._stop(over)
            raise
        self._stop(over)

    def _record_stop_reasons(self, reasons: Mapping[int, AttemptStatus], *, fenced: bool) -> None:
        if reasons:
            with self._context.db.write(fenced=fenced) as tx:
                for number, reason in reasons.items():
                    attempts.mark_stopping(tx, [number], reason)

    def _stop(self, rows: Sequence[AttemptRow]) -> None:
        for row in rows:
            grace = self._context.pipeline.job_settings(row.processor).grace_period
            self._supervisors[row.id].stop(row.id, grace)

    def _overdue(self, row: AttemptRow, job: JobStatus) -> AttemptStatus | None:
        settings = self._context.pipeline.job_settings(row.processor)
        now, started_at = self._context.now(), self._on_current_clock(row.started_at)
        if now - started_at > settings.timeout:
            return AttemptStatus.TIMED_OUT
        if now - max(self._on_current_clock(job.output_at), started_at) > settings.idle_timeout:
            return AttemptStatus.IDLE
        return None

    def _on_current_clock(self, at: float) -> float:
        """`at` if it was taken by the clock as it is set now, else the moment since when limits count."""
        comparable = self._clock_valid_from <= at <= self._context.now() + STEP_SECONDS
        return at if comparable else self._limits_from

    def _close_now(self, ended_attempts: Sequence[EndedAttempt], *, fenced: bool) -> None:
        """Close attempts in a transaction of their own."""
        if not ended_attempts:
            return
        with self._context.db.write(fenced=fenced) as tx:
            events = self.close(tx, ended_attempts)
        self.finish(events)

    def close(self, tx: Transaction, ended_attempts: Sequence[EndedAttempt]) -> list[Event]:
        """Close attempts that are still open, and release their checks. `finish` takes the events."""
        if not ended_attempts:
            return []
        closed_ids = set(attempts.close(tx, {ended.row.id: ended.end for ended in ended_attempts}))
        covered = attempts.covered(tx, closed_ids)
        closed, incidents = [], list[Event]()
        for ended in ended_attempts:
            row = ended.row
            if row.id not in closed_ids:
                continue
            if reason := daily_budgets.quota_refusal(self._context, row, ended.end):
                incidents.append(daily_budgets.hold_spent_table(tx, self._context, row.output, reason))
            counts = ended.exit.counts_as_attempt and not reason
            cancelled = row.stopping == AttemptStatus.CANCELLED
            closed.append(
                ClosedAttempt(
                    row=row,
                    end=ended.end,
                    dates=covered[row.id],
                    began=ended.exit.began,
                    counts=counts,
                    counts_for_breaker=counts and ended.exit.counts_for_breaker and not cancelled,
                )
            )
        names = read_processors(self._context.pipeline, closed)
        checks_by_date = checks.for_dates(tx, {date for attempt in closed for date in attempt.dates}, names)
        release(tx, self._context, closed, checks_by_date)
        return [*map(_ended_event, closed), *incidents]

    def finish(self, events: Sequence[Event]) -> None:
        """After the commit of `close`: remove the files of the ended attempts, and emit the events."""
        for event in events:
            if isinstance(event, AttemptEnded) and self._may_have_dates_file(event.processor):
                with suppress(OSError):  # a leftover file does no harm
                    self._context.dates_file(event.attempt).unlink()
        self._context.emit_all(events)

    def _may_have_dates_file(self, processor: str) -> bool:
        known = self._context.pipeline.processors.get(processor)
        return known is None or needs_dates_file(known)

    def _ended(self, row: AttemptRow, exit_: JobResult) -> EndedAttempt:
        """The attempt with its end as it is recorded, read from its log before any transaction."""
        executor = self._supervisors.get(row.id) or supervisor(self._executors, row)
        end = AttemptEnd(
            status=_status(row, exit_) if executor else AttemptStatus.LOST,
            # A file's modification time may be from before the clock was set back.
            ended_at=max(min(exit_.ended_at, self._context.now()), row.started_at),
            exit_code=exit_.code,
            detail=exit_.detail,
            tail=_tail(executor.log(row.id)) if executor else "",
            max_rss_bytes=exit_.max_rss_bytes,
            cpu_seconds=exit_.cpu_seconds,
        )
        return EndedAttempt(row, exit_, end)


def _status(row: AttemptRow, exit_: JobResult) -> AttemptStatus:
    """A process that exits with 0 while it is being stopped counts as exited."""
    if exit_.code == 0:
        return AttemptStatus.EXITED
    if row.stopping is not None:
        return AttemptStatus(row.stopping)
    return AttemptStatus.LOST if exit_.code is None else AttemptStatus.EXITED


def _ended_event(closed: ClosedAttempt) -> AttemptEnded:
    return AttemptEnded(
        attempt=closed.row.id,
        processor=closed.row.processor,
        phase=closed.row.phase,
        status=closed.end.status,
        exit_code=closed.end.exit_code,
        seconds=closed.end.ended_at - closed.row.started_at,
        detail=closed.end.detail,
    )


def _tail(log: JobLog) -> str:
    try:
        tail = log.read(max((log.size() or 0) - TAIL_BYTES, 0), TAIL_BYTES)
    except OSError:
        return ""
    return tail.decode("utf-8", errors="replace").replace("\x00", "")
