"""Jobs start: runnable work is claimed, oldest first, committed, and only then begun. One pass."""

from __future__ import annotations

import datetime as dt
import math
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from backfilld.daemon.command_inspection import cwd_of
from backfilld.daemon.engine import budgets, processor_holds
from backfilld.daemon.engine.context import EngineContext
from backfilld.daemon.events import AttemptStarted, Event
from backfilld.daemon.executors.adapter import Executor, Handle, Job
from backfilld.daemon.executors.attempt_files import private_opener
from backfilld.state.pipeline.models import Processor, date_placeholders
from backfilld.state.records import AttemptRow, CheckRow, DateRow
from backfilld.state.rules.gates import WaitReason
from backfilld.state.store import attempts, calendar_days, checks, dates, holds
from backfilld.state.store.database import Transaction
from backfilld.state.store.dates import WaitStatus

LOOK_AHEAD = 50
"""How many waiting checks are asked about afresh together, when the first of them is found too old."""


@dataclass(frozen=True, slots=True)
class _Claimed:
    attempt: int
    processor: Processor
    dates: tuple[dt.date, ...]


class Launcher:
    """The duty that starts jobs."""

    def __init__(
        self,
        context: EngineContext,
        executors: Mapping[str, Executor],
        cannot_start: Callable[[Mapping[int, str]], None],
    ) -> None:
        """`cannot_start` closes claimed attempts whose jobs could not be prepared, and is told why."""
        self._context = context
        self._executors = executors
        self._cannot_start = cannot_start
        self._processors = context.pipeline.processors

    def run(self) -> int:
        """Claim what may run within the slots and launch it; how many attempts were started."""
        self._context.unavailable.update(
            {name: executor.unavailable_reason for name, executor in self._executors.items()}
        )
        with self._context.db.read() as tx:
            limits = self._limits(tx, attempts.running(tx))
            if not checks.runnable(tx, dict.fromkeys(limits, 1)):
                return 0
        with self._context.db.write() as tx:
            claimed, parked = self._claim(tx)
        self._launch(claimed)
        self._context.emit_all([*(_told(one) for one in claimed), *parked])
        return len(claimed)

    def _limits(self, tx: Transaction, running: Sequence[AttemptRow]) -> dict[str, int]:
        """How many attempts of each processor may start now, by slots, writers, sequence, holds, executor."""
        placed = holds.all_holds(tx)
        free = self._context.pipeline.jobs.slots - len(running)
        if free <= 0 or any(hold.kind in (holds.EVERYTHING, holds.WAREHOUSE) for hold in placed):
            return {}
        limits = {name: min(free, self._free_writers(p, running)) for name, p in self._processors.items()}
        held = processor_holds.held_processors(self._context.pipeline, placed)
        barred = {
            name
            for name in limits
            if name in held or self._in_sequence(name, running) or self._obstructed(name)
        }
        return {name: limit for name, limit in limits.items() if limit > 0 and name not in barred}

    def _free_writers(self, processor: Processor, running: Sequence[AttemptRow]) -> int:
        return processor.writers - sum(1 for attempt in running if attempt.output == processor.table)

    def _in_sequence(self, name: str, running: Sequence[AttemptRow]) -> bool:
        """Whether an attempt of its sequential phase runs."""
        phase = self._context.pipeline.stage_of[name].phase
        return phase.sequential and any(attempt.sequence == phase.name for attempt in running)

    def _obstructed(self, name: str) -> bool:
        """Whether its executor can start nothing now, so that an attempt would be used up for nothing."""
        return bool(self._context.unavailable.get(self._processors[name].executor))

    def _claim(self, tx: Transaction) -> tuple[list[_Claimed], list[Event]]:
        """Claim in the order of priority and date; the stop flags are read in this same transaction.

        Tables for which something would start, were their daily attempts not spent, are parked.
        """
        running = attempts.running(tx)
        limits = self._limits(tx, running)
        batch = {name: limit * self._processors[name].batch for name, limit in limits.items()}
        picks = self._fresh(tx, batch)
        free = self._context.pipeline.jobs.slots - len(running)
        writers = {(a.output, a.writer) for a in running}
        sequences = {a.sequence for a in running}
        holders = dates.get_many(tx, [pick.date for pick in picks])
        claimed: list[_Claimed] = []
        limited = budgets.table_budgets(tx, self._context)
        left: dict[str, float] = {table: budget.left for table, budget in limited.items()}
        spent: set[str] = set()
        for group in self._groups(tx, picks, holders):
            processor = self._processors[group[0].processor]
            phase = self._context.pipeline.stage_of[processor.name].phase
            sequence = phase.name if phase.sequential else None
            writer = next((n for n in range(processor.writers) if (processor.table, n) not in writers), None)
            if free <= 0 or writer is None or (sequence and sequence in sequences):
                continue
            if left.get(processor.table, math.inf) <= 0:
                spent.add(processor.table)
                continue
            claimed.append(self._take(tx, group, holders, writer, sequence))
            left[processor.table] = left.get(processor.table, math.inf) - 1
            writers.add((processor.table, writer))
            sequences.add(sequence)
            free -= 1
        self._note(tx, claimed, holders)
        budgets.count_attempts(tx, self._context, [one.processor.table for one in claimed])
        return claimed, [
            budgets.hold_spent_table(tx, self._context, table, limited[table].told) for table in sorted(spent)
        ]

    def _fresh(self, tx: Transaction, limits: Mapping[str, int]) -> list[CheckRow]:
        """The first that may run by young evidence; what comes before by older is asked about again."""
        oldest = self._context.now() - self._context.pipeline.engine.max_evidence_age
        picks = checks.runnable(tx, limits)
        stale = {pick.processor for pick in picks if (pick.asked_at or 0.0) < oldest}
        if stale:
            behind = checks.runnable(tx, dict.fromkeys(stale, LOOK_AHEAD))
            old = [(c.date, c.processor) for c in behind if (c.asked_at or 0.0) < oldest]
            checks.request_check(tx, old, self._context.now())
            picks = checks.runnable(tx, limits)
        return [pick for pick in picks if (pick.asked_at or 0.0) >= oldest]

    def _groups(
        self, tx: Transaction, picks: Sequence[CheckRow], holders: Mapping[dt.date, DateRow]
    ) -> list[list[CheckRow]]:
        """Picks as attempts: one date each, or runs of dates of one backfill for processors with a batch."""
        groups: list[list[CheckRow]] = []
        open_groups: dict[tuple[str, int], list[CheckRow]] = {}
        for pick in picks:
            processor = self._processors[pick.processor]
            alike = pick.processor, holders[pick.date].backfill_id
            group = open_groups.get(alike)
            if group and len(group) < processor.batch and self._continues(tx, processor, group[-1], pick):
                group.append(pick)
            else:
                groups.append([pick])
                open_groups[alike] = groups[-1]
        return groups

    def _continues(self, tx: Transaction, processor: Processor, last: CheckRow, pick: CheckRow) -> bool:
        """Whether a batch may go on to `pick`: a range must not sweep over dates that it does not claim."""
        if "start" not in processor.placeholders:
            return True
        first, end = last.date + dt.timedelta(days=1), pick.date - dt.timedelta(days=1)
        between = calendar_days.between(tx, first, end)
        seasons = self._context.pipeline.seasons
        known_empty = all(not seasons.day(date, games).expected for date, games in between.items())
        return known_empty and len(between) == (pick.date - last.date).days - 1

    def _take(
        self,
        tx: Transaction,
        group: Sequence[CheckRow],
        holders: Mapping[dt.date, DateRow],
        writer: int,
        sequence: str | None,
    ) -> _Claimed:
        processor = self._processors[group[0].processor]
        covered = tuple(check.date for check in group)
        number = attempts.claim(
            tx,
            attempts.Claim(
                dates=covered,
                processor=processor.name,
                phase=self._context.pipeline.stage_of[processor.name].phase.name,
                backfill_id=holders[covered[0]].backfill_id,
                executor=processor.executor,
                output=processor.table,
                writer=writer,
                sequence=sequence,
            ),
            self._context.now(),
        )
        return _Claimed(number, processor, covered)

    def _note(self, tx: Transaction, claimed: Sequence[_Claimed], holders: Mapping[dt.date, DateRow]) -> None:
        """Let checks and dates know which attempts run for them."""
        checks.claim(tx, {one.attempt: [(date, one.processor.name) for date in one.dates] for one in claimed})
        rows = [holders[date] for one in claimed for date in one.dates]
        dates.set_waiting(
            tx, [WaitStatus(row=row, waiting=WaitReason.ATTEMPT, due_at=row.due_at) for row in rows]
        )

    def _launch(self, claimed: Sequence[_Claimed]) -> None:
        jobs: dict[str, list[Job]] = defaultdict(list)
        unavailable: dict[int, str] = {}
        for one in claimed:
            try:
                jobs[one.processor.executor].append(self._job(one))
            except OSError as error:
                unavailable[one.attempt] = f"its file of dates cannot be written: {error.strerror}"
        if unavailable:
            self._cannot_start(unavailable)
        for name, executor in self._executors.items():
            if jobs[name]:
                executor.launch(jobs[name], self._record)

    def _record(self, handles: Mapping[int, Handle]) -> None:
        with self._context.db.write() as tx:
            attempts.record_handles(tx, handles, self._context.now())

    def _job(self, one: _Claimed) -> Job:
        words = self._words(one)
        env = {
            **one.processor.env,
            "BACKFILLD_DATE": words["date"],
            "BACKFILLD_DATES": words["dates"],
            "BACKFILLD_PROCESSOR": one.processor.name,
            "BACKFILLD_ATTEMPT": str(one.attempt),
        }
        cwd = cwd_of(self._context.pipeline, one.processor)
        return Job(
            attempt=one.attempt,
            argv=one.processor.argv(words),
            cwd=cwd,
            env=env,
            pass_env=one.processor.pass_env,
            processor=one.processor.name,
            timeout=one.processor.timeout,
        )

    def _words(self, one: _Claimed) -> dict[str, str]:
        words = date_placeholders(one.dates)
        if "dates_file" in one.processor.placeholders:
            words["dates_file"] = str(self._write_dates(one))
        return {**words, "python": sys.executable}

    def _write_dates(self, one: _Claimed) -> Path:
        path = self._context.dates_file(one.attempt)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        with open(path, "w", encoding="utf-8", opener=private_opener) as file:
            file.writelines(f"{date}\n" for date in one.dates)
        return path


def _told(one: _Claimed) -> AttemptStarted:
    return AttemptStarted(attempt=one.attempt, processor=one.processor.name, dates=one.dates)
