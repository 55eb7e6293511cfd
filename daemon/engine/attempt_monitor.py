"""Jobs end: noticed, timed out, silenced, recovered. Whatever the exit code, the warehouse is asked next."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from backfilld.daemon.clock_steps import STEP_SECONDS
from backfilld.daemon.engine import budgets
from backfilld.daemon.engine.context import EngineContext
from backfilld.daemon.events import AttemptEnded
from backfilld.daemon.executors.adapter import Executor, JobResult, JobStatus
from backfilld.state.records import AttemptRow, AttemptStatus, CheckRow
from backfilld.state.store import attempts, checks
from backfilld.state.store.attempts import AttemptEnd
from backfilld.state.store.checks import AttemptResult
from backfilld.state.store.database import Transaction
from backfilld.state.store.errors import DatabaseUnavailable

TAIL_BYTES = 2000
"""How much of a log's end is kept with the attempt."""
RETURN_SECONDS = 60.0
"""How long after its limit and its grace a job on another machine is given up: a daemon that starts again
there has ended it by then, and else it has ended with its machine."""


@dataclass(frozen=True, slots=True)
class _Ended:
    attempt: AttemptRow
    exit: JobResult


class AttemptMonitor:
    """The duty that watches running attempts and closes those that ended."""

    def __init__(self, context: EngineContext, executors: Mapping[str, Executor]) -> None:
        self._context = context
        self._executors = executors
        # Limits count from here where a job's own times are by a clock that was set since.
        self._counts_from = context.now()
        self._clock_since = 0.0

    def restart_limits(self) -> None:
        """The clock was set: the limits of all running jobs count from now."""
        self._counts_from = self._clock_since = self._context.now()

    def recover(self) -> None:
        """After a restart: hand every running attempt to its executor, which adopts it or reports its end."""
        self._adopt(self._running())

    def run(self) -> int:
        """Look at every running attempt once; how many ended."""
        running = self._running()
        return self._look_after(self._seen(running, begun=running), fenced=True)

    def cannot_start(self, why: Mapping[int, str]) -> None:
        """Close attempts whose jobs could not be prepared: each is used up, with its backoff."""
        now, running = self._context.now(), self._running()
        ends = {number: JobResult.cannot_start(text, at=now) for number, text in why.items()}
        self._close([_Ended(running[n], end) for n, end in ends.items()], fenced=True)

    def guard(self) -> None:
        """On a standby: look after what runs here, which the leader cannot see.

        What began here and how it ended are facts whoever leads; the leader decides what follows. What has no
        handle yet is not asked about: the leader is about to launch it.
        """
        running = self._running()
        begun = {number: row for number, row in running.items() if row.handle is not None}
        own = [(row, found) for row, found in self._seen(running, begun=begun) if not found.elsewhere]
        self._look_after(own, fenced=False)

    def _look_after(self, seen: Sequence[tuple[AttemptRow, JobStatus]], *, fenced: bool) -> int:
        watched = [(row, found) for row, found in seen if found.exit is None and not found.elsewhere]
        self._stop_overdue(watched, fenced=fenced)
        endings = [(row, found.exit or self._given_up(row, found)) for row, found in seen]
        ended = [_Ended(row, end) for row, end in endings if end is not None]
        if ended:
            self._close(ended, fenced=fenced)
        return len(ended)

    def _seen(
        self, running: Mapping[int, AttemptRow], *, begun: Mapping[int, AttemptRow]
    ) -> list[tuple[AttemptRow, JobStatus]]:
        """What executors see of running attempts, of which `begun` are to be looked after."""
        seen = self._polled(running)
        self._remark(begun, seen)
        # Claimed but never launched, if no executor knows it: its executor says what became of it.
        self._adopt({number: row for number, row in begun.items() if number not in seen})
        return [(begun[number], found) for number, found in seen.items() if number in begun]

    def _polled(self, running: Mapping[int, AttemptRow]) -> dict[int, JobStatus]:
        """What executors see; what another daemon closed, which could not see it, is ended at once."""
        seen = {}
        for executor in self._executors.values():
            for found in executor.poll():
                seen[found.attempt] = found
                if found.attempt not in running and found.exit is None:
                    executor.stop(found.attempt, 0.0)
        return seen

    def _remark(self, running: Mapping[int, AttemptRow], seen: Mapping[int, JobStatus]) -> None:
        """Keep why attempts do not begin or are not seen, for whoever asks what a date waits for."""
        status_messages = self._context.status_messages
        status_messages.clear()
        for number, row in running.items():
            if row.executor not in self._executors:
                status_messages[number] = f"nobody looks after it: put [executor.{row.executor}] back"
            elif found := seen.get(number):
                away = found.elsewhere and f"out of sight, at {found.elsewhere}"
                status_messages[number] = found.status_message or away

    def _given_up(self, row: AttemptRow, found: JobStatus) -> JobResult | None:
        """The end of an attempt that nobody here can see, once it cannot be running any more."""
        settings, now = self._context.pipeline.job_settings(row.processor), self._context.now()
        limit = settings.timeout + settings.grace_period + RETURN_SECONDS
        if not found.elsewhere or now - self._by_this_clock(row.started_at) <= limit:
            return None
        return JobResult.lost(f"it ran out of sight, at {found.elsewhere}", at=now)

    def _running(self) -> dict[int, AttemptRow]:
        with self._context.db.read() as tx:
            return {row.id: row for row in attempts.running(tx)}

    def _adopt(self, unknown: Mapping[int, AttemptRow]) -> None:
        for name, executor in self._executors.items():
            its = {number: row.handle for number, row in unknown.items() if row.executor == name}
            if its:
                executor.recover(its)

    def _stop_overdue(self, watched: list[tuple[AttemptRow, JobStatus]], *, fenced: bool) -> None:
        """End what runs too long, says nothing for too long, or belongs to a cancelled backfill.

        Raises:
            DatabaseUnusable: why cannot be noted; they are ended all the same.
        """
        reasons = {row.id: why for row, found in watched if (why := self._overdue(row, found)) is not None}
        over = [row for row, _ in watched if row.id in reasons or row.stopping is not None]
        try:
            self._note_why({row.id: reasons[row.id] for row in over if row.stopping is None}, fenced=fenced)
        except DatabaseUnavailable:
            self._stop(over)
            raise
        self._stop(over)

    def _note_why(self, reasons: Mapping[int, AttemptStatus], *, fenced: bool) -> None:
        if reasons:
            with self._context.db.write(fenced=fenced) as tx:
                for number, why in reasons.items():
                    attempts.mark_stopping(tx, [number], why)

    def _stop(self, rows: Sequence[AttemptRow]) -> None:
        for row in rows:
            grace = self._context.pipeline.job_settings(row.processor).grace_period
            self._executors[row.executor].stop(row.id, grace)

    def _overdue(self, row: AttemptRow, found: JobStatus) -> AttemptStatus | None:
        settings = self._context.pipeline.job_settings(row.processor)
        now, started_at = self._context.now(), self._by_this_clock(row.started_at)
        if now - started_at > settings.timeout:
            return AttemptStatus.TIMED_OUT
        if now - max(self._by_this_clock(found.output_at), started_at) > settings.idle_timeout:
            return AttemptStatus.IDLE
        return None

    def _by_this_clock(self, at: float) -> float:
        """A time told by the clock as it goes now; for others, the moment since when it goes so."""
        told_by_it = self._clock_since <= at <= self._context.now() + STEP_SECONDS
        return at if told_by_it else self._counts_from

    def _close(self, ended: list[_Ended], *, fenced: bool) -> None:
        endings = {one.attempt.id: self._ending(one) for one in ended}
        with self._context.db.write(fenced=fenced) as tx:
            closed = set(attempts.close(tx, endings))
            ended = [one for one in ended if one.attempt.id in closed]
            rows = [one.attempt for one in ended]
            covered = attempts.covered(tx, closed)
            known = checks.for_dates(tx, {date for dates_ in covered.values() for date in dates_})
            refused = {
                row: why for row in rows if (why := budgets.refused(self._context, row, endings[row.id]))
            }
            parked = [
                budgets.hold_spent_table(tx, self._context, row.output, why) for row, why in refused.items()
            ]
            pairs = [(one, date) for one in ended for date in covered[one.attempt.id]]
            self._release(tx, pairs, endings, known, refused)
        for row in rows:
            with suppress(OSError):  # it only takes up room
                self._context.dates_file(row.id).unlink()
        self._context.emit_all([*(_told(row, endings[row.id]) for row in rows), *parked])

    def _ending(self, one: _Ended) -> AttemptEnd:
        row, exit_ = one.attempt, one.exit
        return AttemptEnd(
            status=_status(row, exit_),
            # A file's time may be from before the clock was set back.
            ended_at=max(min(exit_.ended_at, self._context.now()), row.started_at),
            exit_code=exit_.code,
            detail=exit_.detail,
            tail=_tail(self._executors[row.executor].log(row.id)),
            max_rss_bytes=exit_.max_rss_bytes,
            cpu_seconds=exit_.cpu_seconds,
        )

    def _release(
        self,
        tx: Transaction,
        ended: Sequence[tuple[_Ended, dt.date]],
        endings: Mapping[int, AttemptEnd],
        known: Mapping[dt.date, Mapping[str, CheckRow]],
        fruitless: Collection[AttemptRow],
    ) -> None:
        """Hand checks back: to be asked about now, and not to be run again before the backoff.

        Attempts in `fruitless` met a spent quota, and do not count.
        """
        released = []
        for one, date in ended:
            row, counts = one.attempt, one.exit.tried and one.attempt not in fruitless
            at = self._asked_at(row, endings, known[date])
            released.append(
                self._released(one, endings[row.id], known[date][row.processor], at, counts=counts)
            )
            self._ask_ahead(tx, date, row.processor, known[date], at)
        checks.release(tx, released)

    def _asked_at(
        self, row: AttemptRow, endings: Mapping[int, AttemptEnd], known: Mapping[str, CheckRow]
    ) -> float:
        """When to ask about what ended: at once where something may follow, else with others."""
        pipeline, ending = self._context.pipeline, endings[row.id]
        at = ending.ended_at + pipeline.job_settings(row.processor).settle
        stage = pipeline.stage_of.get(row.processor)
        if stage is None or ending.status is not AttemptStatus.SUCCEEDED:
            return at
        others = [known[p.name] for p in stage.processors if p.name in known and p.name != row.processor]
        # Its gate stays closed as long as one of these is at work, or is about to be.
        shut = any(c.runnable or (c.attempt_id is not None and c.attempt_id not in endings) for c in others)
        leads = any(row.processor in p.after for p in stage.processors)
        return at + pipeline.engine.batch_window if shut and not leads else at

    def _released(
        self, one: _Ended, ending: AttemptEnd, check: CheckRow, query_due_at: float, *, counts: bool
    ) -> AttemptResult:
        row, settings = one.attempt, self._context.pipeline.job_settings(one.attempt.processor)
        values: dict[str, object] = {}
        if counts:
            values["retry_at"] = ending.ended_at + self._backoff(settings.backoff, check.attempt_count)
        else:
            values["attempt_count"] = max(check.attempt_count - 1, 0)
        if one.exit.tried:
            values |= {
                "last_attempt_started_at": row.started_at,
                "last_attempt_ended_at": ending.ended_at,
                "last_attempt_succeeded": int(ending.status is AttemptStatus.SUCCEEDED),
                "last_attempt_detail": _detail(ending),
            }
        pair = (check.date, check.processor)
        return AttemptResult(pair=pair, attempt=row.id, query_due_at=query_due_at, values=values)

    def _ask_ahead(
        self, tx: Transaction, date: dt.date, processor: str, known: Mapping[str, CheckRow], at: float
    ) -> None:
        """One question serves what ended, what is measured against it, and the state behind an open gate."""
        asked = {*self._measured_against(processor), *self._behind(processor, known)}
        pairs = [(date, name) for name in sorted(asked) if name in known and known[name].attempt_id is None]
        checks.request_check(tx, pairs, at)

    def _measured_against(self, processor: str) -> Iterator[str]:
        """Whose verdict is out of date once this output has changed, be it satisfied or not."""
        for other in self._context.pipeline.processors.values():
            if other.expect.ratio is not None and other.expect.ratio.of == processor:
                yield other.name

    def _behind(self, processor: str, known: Mapping[str, CheckRow]) -> Iterator[str]:
        """What lacks in the following state, when this may open the gate: its validation on entry."""
        stage = self._context.pipeline.stage_of.get(processor)
        following = self._context.pipeline.stages[stage.index + 1 :] if stage else ()
        if stage is None or not following:
            return
        satisfied = {name for name, check in known.items() if check.satisfied}
        if satisfied.issuperset(p.name for p in stage.processors if p.name != processor):
            yield from (p.name for p in following[0].processors if p.name not in satisfied)

    def _backoff(self, base: float, attempt_count: int) -> float:
        """Doubled with every attempt, with jitter, so that retries of many dates do not come at once."""
        doubled = float(base * 2 ** (max(attempt_count, 1) - 1))
        return doubled * self._context.rng.uniform(0.75, 1.25)


def cancel_running(tx: Transaction, backfill_id: int) -> None:
    """Mark a backfill's running attempts to be ended; the next pass ends them."""
    its = [row.id for row in attempts.running_by_backfill(tx, backfill_id)]
    attempts.mark_stopping(tx, its, AttemptStatus.CANCELLED)


def _status(row: AttemptRow, exit_: JobResult) -> AttemptStatus:
    if exit_.code == 0:
        return AttemptStatus.SUCCEEDED
    if row.stopping is not None:
        return AttemptStatus(row.stopping)
    return AttemptStatus.LOST if exit_.code is None else AttemptStatus.FAILED


def _told(row: AttemptRow, ending: AttemptEnd) -> AttemptEnded:
    return AttemptEnded(
        attempt=row.id,
        processor=row.processor,
        phase=row.phase,
        status=ending.status,
        seconds=ending.ended_at - row.started_at,
    )


def _detail(ending: AttemptEnd) -> str:
    """How our own attempt ended, as `judge` tells it."""
    last = ending.tail.strip().splitlines()[-1:] or [""]
    code = f"exit {ending.exit_code}" if ending.exit_code is not None else ending.detail
    words = [str(ending.status) if ending.status is not AttemptStatus.FAILED else "", code, last[0][:200]]
    return ": ".join(word for word in words if word)


def _tail(log: Path) -> str:
    try:
        with log.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(file.tell() - TAIL_BYTES, 0))
            return file.read().decode("utf-8", errors="replace").replace("\x00", "")
    except OSError:
        return ""
