"""Starts jobs: claims runnable checks, oldest first, commits the claims, then launches the jobs."""

from __future__ import annotations

import datetime as dt
import math
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from backfilld.daemon.engine import (
    daily_budgets,
    evidence_age,
    missing_upstream,
    periods,
    processor_and_table_holds,
)
from backfilld.daemon.engine.closed_hours import WindowReader
from backfilld.daemon.engine.context import EngineContext
from backfilld.daemon.engine.free_slots import FreeSlots
from backfilld.daemon.event_types import AttemptStarted, Event
from backfilld.daemon.executors.adapter import Executor, Handle, Job, JobResult
from backfilld.daemon.executors.attempt_files import private_opener
from backfilld.daemon.host_shortage import Shortage
from backfilld.daemon.job_command import job_command, needs_dates_file
from backfilld.state.pipeline.processor import Processor
from backfilld.state.records import AttemptRow, DateRow, HoldRow
from backfilld.state.rules.batching import batches, period_attempts
from backfilld.state.rules.gates import WaitReason
from backfilld.state.rules.needs_graph import Pair
from backfilld.state.store import (
    attempts,
    backfill_dates,
    calendar_days,
    checks,
    dates,
    holds,
    runnable_jobs,
    stale_marks,
)
from backfilld.state.store.database import Transaction
from backfilld.state.store.dates import WaitStatus
from backfilld.state.store.runnable_jobs import RunnableCheck


@dataclass(frozen=True, slots=True)
class Claim:
    """An attempt that was claimed and is to be launched."""

    attempt: int
    processor: Processor
    dates: tuple[dt.date, ...]


class Launcher:
    """Claims and launches attempts."""

    def __init__(
        self,
        context: EngineContext,
        executors: Mapping[str, Executor],
        close_unprepared: Callable[[Mapping[int, JobResult]], None],
    ) -> None:
        """`close_unprepared` closes claimed attempts whose jobs could not be prepared."""
        self._context = context
        self._executors = executors
        self._close_unprepared = close_unprepared
        self._shortage = Shortage(context.steady or context.now)
        self._processors = context.pipeline.processors
        self._evidence_from = context.now()
        self.has_free_slots = False
        """Whether the latest claims left a slot free for a processor that had a runnable check."""

    def restart_evidence(self) -> None:
        """Start no job on evidence from before now: the daemon was not there, or its clock was set."""
        self._evidence_from = self._context.now()

    @property
    def retry_at(self) -> float | None:
        """When jobs may start again, in epoch seconds, after this host lacked something; None if they may."""
        left = self._shortage.seconds_left
        return self._context.now() + left if left else None

    def _limits(
        self, names: Iterable[str], active_holds: Sequence[HoldRow], free: FreeSlots
    ) -> dict[str, int]:
        """How many attempts of each of some processors may start, where any may: by slots and holds."""
        if any(hold.kind in (holds.EVERYTHING, holds.WAREHOUSE) for hold in active_holds):
            return {}
        held_processors = processor_and_table_holds.held_processors(self._context.pipeline, active_holds)
        limits = {
            name: free.count(self._processors[name])
            for name in names
            if name in self._processors and not (name in held_processors or self._is_unavailable(name))
        }
        return {name: limit for name, limit in limits.items() if limit > 0}

    def _is_unavailable(self, name: str) -> bool:
        """Whether the processor's executor cannot start jobs now, so that an attempt would be wasted."""
        return bool(self._context.unavailable.get(self._processors[name].executor))

    def claim(
        self,
        tx: Transaction,
        running: Sequence[AttemptRow],
        active_holds: Sequence[HoldRow],
        checking: Collection[Pair] = (),
    ) -> tuple[list[Claim], list[Event]]:
        """Claim what may run beside the running attempts and check commands, by priority and date.

        Returns events to emit.

        Pauses and holds were read in the same transaction. Holds each table that has work but has used up
        its daily attempts.
        """
        self._record_unavailable()
        windows = WindowReader(tx, self._context)
        closed = windows.closed()
        if closed:
            # Dates that were about to start a job when a window closed become due, and show the reason.
            dates.make_dates_due(tx, checks.clear_runnable_by(tx, closed), self._context.now())
        free = FreeSlots(self._context.pipeline, running, checking)
        runnable = runnable_jobs.processors(tx) if free.has_slot else []
        limits = self._limits(runnable, active_holds, free)
        if not limits:
            return [], []
        limits_by_dates = {
            name: limit * self._processors[name].dates_per_attempt for name, limit in limits.items()
        }
        fresh = self._with_fresh_evidence(tx, limits_by_dates)
        satisfied = self._with_satisfied_needs(tx, fresh) if fresh else []
        candidates = periods.whole_periods(tx, self._context, satisfied)
        if not candidates:
            return [], []
        date_rows = dates.get_many(tx, [candidate.date for candidate in candidates])
        claims: list[Claim] = []
        table_budgets = daily_budgets.table_budgets(tx, self._context)
        remaining: dict[str, float] = {table: budget.left for table, budget in table_budgets.items()}
        used_up: set[str] = set()
        for batch in self._batches(tx, candidates, date_rows):
            processor = self._processors[batch[0].processor]
            if not free.count(processor):
                continue
            if remaining.get(processor.table, math.inf) <= 0:
                used_up.add(processor.table)
                continue
            fitting = batch[: windows.dates_that_fit(processor)]
            claims.append(self._claim_one(tx, fitting, date_rows, free.take(processor)))
            remaining[processor.table] = remaining.get(processor.table, math.inf) - 1
        self.has_free_slots = any(free.count(self._processors[name]) for name in limits)
        self._record_claims(tx, claims, date_rows)
        daily_budgets.count_attempts(tx, self._context, [claim.processor.table for claim in claims])
        return claims, [
            daily_budgets.hold_spent_table(tx, self._context, table, table_budgets[table].spent_reason)
            for table in sorted(used_up)
        ]

    def _record_unavailable(self) -> None:
        """Record why executors start no jobs now, for the waits of dates."""
        for name, executor in self._executors.items():
            reason = executor.unavailable_reason
            text = f"the executor {name}: {reason}" if reason else self._shortage.reason
            self._context.unavailable[name] = text

    def _with_fresh_evidence(self, tx: Transaction, limits: Mapping[str, int]) -> list[RunnableCheck]:
        """Runnable checks whose evidence is recent enough. Those ahead of them are queried again."""
        return evidence_age.with_fresh_evidence(tx, self._context, limits, self._evidence_from)

    def _with_satisfied_needs(
        self, tx: Transaction, candidates: Sequence[RunnableCheck]
    ) -> list[RunnableCheck]:
        """The candidates whose upstream is satisfied still; dates of the other ones are evaluated again.

        A candidate that needs another one, which is complete and is to be rewritten, waits for that.
        """
        reader = missing_upstream.UpstreamReader(tx, self._context, max(c.date for c in candidates))
        rewrites = [(c.processor, c.date) for c in candidates if c.satisfied]
        blocked = {
            c
            for c in candidates
            if reader.blocks(c.processor, c.date)
            or (rewrites and reader.needs_any(c.processor, c.date, rewrites))
        }
        checks.clear_runnable(tx, [(c.date, c.processor) for c in blocked])
        dates.make_dates_due(tx, sorted({c.date for c in blocked}), dates.IMMEDIATELY)
        return [c for c in candidates if c not in blocked]

    def _batches(
        self, tx: Transaction, candidates: Sequence[RunnableCheck], date_rows: Mapping[dt.date, DateRow]
    ) -> list[list[RunnableCheck]]:
        """The candidates as attempts.

        A batch takes only dates that the same backfills want, and the same attempts of periods computed.
        """
        together = any(self._processors[c.processor].dates_per_attempt > 1 for c in candidates)
        owners = backfill_dates.owners(tx, date_rows) if together else {}
        has_periods = together and any(processor.attempt_period for processor in self._processors.values())
        known = checks.for_dates(tx, list(date_rows)) if has_periods else {}
        computed_by = period_attempts(
            self._context.pipeline,
            lambda name, date: name in (of_date := known.get(date, {})) and of_date[name].attempt_count > 0,
        )
        return batches(
            candidates,
            self._processors,
            nothing_between=partial(self._nothing_between, tx),
            owner=lambda c: (computed_by(c), *(interest.backfill_id for interest in owners.get(c.date, ()))),
        )

    def _nothing_between(self, tx: Transaction, processor: Processor, first: dt.date, last: dt.date) -> bool:
        """Whether the calendar knows every date strictly between the two, and the processor has no output."""
        day = dt.timedelta(days=1)
        known = calendar_days.between(tx, first + day, last - day)
        pipeline = self._context.pipeline
        empty = not any(
            pipeline.expects(processor, pipeline.seasons.day(date, counts)) for date, counts in known.items()
        )
        return empty and len(known) == (last - first).days - 1

    def _claim_one(
        self,
        tx: Transaction,
        batch: Sequence[RunnableCheck],
        date_rows: Mapping[dt.date, DateRow],
        writer: int,
    ) -> Claim:
        processor = self._processors[batch[0].processor]
        batch_dates = tuple(check.date for check in batch)
        attempt_id = attempts.claim(
            tx,
            attempts.Claim(
                dates=batch_dates,
                processor=processor.name,
                phase=self._context.pipeline.stage_of[processor.name].phase.name,
                backfill_id=date_rows[batch_dates[0]].backfill_id,
                executor=processor.executor,
                output=processor.table,
                writer=writer,
                sequence=self._context.pipeline.sequence_of(processor),
            ),
            self._context.now(),
        )
        return Claim(attempt_id, processor, batch_dates)

    def _record_claims(
        self, tx: Transaction, claims: Sequence[Claim], date_rows: Mapping[dt.date, DateRow]
    ) -> None:
        """Record on checks and dates which attempts run for them."""
        attempts.cover(tx, {claim.attempt: claim.dates for claim in claims})
        pairs = {claim.attempt: [(date, claim.processor.name) for date in claim.dates] for claim in claims}
        marked = [pair for of in pairs.values() for pair in of if date_rows[pair[0]].stale_at is not None]
        stale_marks.forget_causes_before_attempt(tx, marked)
        checks.claim(tx, pairs)
        rows = [date_rows[date] for claim in claims for date in claim.dates]
        dates.set_waiting(
            tx, [WaitStatus(row=row, waiting=WaitReason.ATTEMPT, due_at=row.due_at) for row in rows]
        )

    def launch(self, claims: Sequence[Claim]) -> bool:
        """Start the jobs of claims that are committed. Returns whether it closed some that have none."""
        jobs: dict[str, list[Job]] = defaultdict(list)
        unprepared: dict[int, JobResult] = {}
        for claim in claims:
            try:
                jobs[claim.processor.executor].append(self._job(claim))
            except OSError as error:
                unprepared[claim.attempt] = self._without_dates_file(error)
        if unprepared:
            self._close_unprepared(unprepared)
        for name, executor in self._executors.items():
            if jobs[name]:
                executor.launch(jobs[name], self._record)
        self._context.emit_all([_started_event(claim) for claim in claims])
        return bool(unprepared)

    def _without_dates_file(self, error: OSError) -> JobResult:
        """The end of an attempt whose file of dates cannot be written. A shortage of this host costs none."""
        now = self._context.now()
        if why := self._shortage.explain(error):
            return JobResult.never_began(f"never started: {why}", at=now)
        return JobResult.cannot_start(f"its file of dates cannot be written: {error.strerror}", at=now)

    def _record(self, handles: Mapping[int, Handle]) -> None:
        with self._context.db.write() as tx:
            attempts.record_handles(tx, handles, self._context.now())

    def _job(self, claim: Claim) -> Job:
        dates_file = self._write_dates_file(claim) if needs_dates_file(claim.processor) else None
        command = job_command(self._context.pipeline, claim.processor, claim.dates, dates_file)
        return Job(
            attempt=claim.attempt,
            argv=command.argv,
            cwd=command.cwd,
            env={**command.env, "BACKFILLD_ATTEMPT": str(claim.attempt)},
            pass_env=claim.processor.pass_env,
            processor=claim.processor.name,
            timeout=claim.processor.timeout,
            grace_period=claim.processor.grace_period,
            resources=claim.processor.resources,
        )

    def _write_dates_file(self, claim: Claim) -> Path:
        path = self._context.dates_file(claim.attempt)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        with open(path, "w", encoding="utf-8", opener=private_opener) as file:
            listed = self._context.pipeline.command_dates(claim.processor, claim.dates)
            file.writelines(f"{date}\n" for date in listed)
        return path


def _started_event(claim: Claim) -> AttemptStarted:
    return AttemptStarted(attempt=claim.attempt, processor=claim.processor.name, dates=claim.dates)
