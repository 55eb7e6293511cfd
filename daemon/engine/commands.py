"""Operator commands: pause, resume, cancel, retry, accept, hold, release. They write facts to the database.

The engine reads the facts in its next tick. A command never waits for the engine.
"""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Callable, Iterator

from backfilld.daemon.engine import budgets, ratio_references, regressed_dates, stale_dates, upstream
from backfilld.daemon.engine.context import EngineContext
from backfilld.daemon.engine.date_owners import cancel_unwanted, retry_failed
from backfilld.daemon.engine.hold_placement import place_hold
from backfilld.daemon.engine.requeue import requeue
from backfilld.daemon.events import DateMoved
from backfilld.state.errors import BackfilldError
from backfilld.state.pipeline.phase import DONE, FAILED
from backfilld.state.records import Action, Actor, BackfillRow, DateRow, HoldRow, Mark, RunMode
from backfilld.state.rules.gates import WaitReason
from backfilld.state.rules.machine import FINAL
from backfilld.state.store import (
    audit,
    backfills,
    checks,
    circuit_breaker,
    dates,
    holds,
    interests,
    reporting,
)
from backfilld.state.store.audit import Facts
from backfilld.state.store.database import Transaction
from backfilld.state.suggestions import did_you_mean

Snapshotter = Callable[[Transaction], Facts | None]
"""Returns what the audit records of a target, before and after a change."""
MOST_AT_ONCE = 20_000
"""Marked dates that one call requeues at most."""
EVERYTHING = "everything"
"""The audit target of a global pause."""
_BEING_CANCELLED = "backfill {} is being cancelled; retry when its last date has ended"


class NotFound(BackfilldError):
    """There is no such backfill, date, processor or attempt."""


class Conflict(BackfilldError):
    """The request conflicts with the current state; the message says why."""


class Commands:
    """Every change that an operator can make to what exists."""

    def __init__(self, context: EngineContext) -> None:
        self._context = context

    def pause_everything(self, *, by: Actor, reason: str) -> None:
        """Start no more jobs until `resume_everything`. Running jobs go on to their end."""
        with self._audited(by, Action.PAUSE, EVERYTHING, _hold_facts("all", holds.EVERYTHING)) as tx:
            holds.place(tx, "all", holds.EVERYTHING, reason=reason, actor=by.name, now=self._context.now())

    def resume_everything(self, *, by: Actor) -> None:
        """End the global pause, if there is one."""
        with self._audited(by, Action.RESUME, EVERYTHING, _hold_facts("all", holds.EVERYTHING)) as tx:
            holds.release(tx, "all", holds.EVERYTHING)

    def hold(self, kind: str, key: str, *, by: Actor, reason: str) -> None:
        """Hold a processor, a table, or the warehouse (without a key) until an operator releases it.

        Raises:
            Conflict: it is held already.
        """
        hold_name = f"{kind} {key}".strip()
        with self._audited(by, Action.HOLD, hold_name, _hold_facts(kind, key)) as tx:
            if not place_hold(tx, self._context, kind, key, reason=reason, actor=by.name):
                raise Conflict(f"{hold_name} is held already; release it first")

    def release(self, kind: str, key: str, *, by: Actor, extra: int | None = None) -> int | None:
        """Release the hold of a processor, a table, or the warehouse.

        If a daily budget is used up, `extra` attempts or bytes are allowed beyond it until the quota day
        ends, by default a tenth of its limit. Returns what was allowed; None if no budget was changed.

        Raises:
            NotFound: there is no such hold.
            Conflict: `extra` was given, and there is no such budget.
        """
        hold_name = f"{kind} {key}".strip()
        with self._audited(by, Action.RELEASE, hold_name, self._hold_snapshot(kind, key)) as tx:
            if not holds.release(tx, kind, key):
                raise NotFound(f"there is no hold of {hold_name}")
            if kind == "processor":
                circuit_breaker.reset(tx, key)
            allowed = budgets.allow_more(tx, self._context, kind, key, extra)
            if extra is not None and allowed is None:
                raise Conflict(f"{hold_name} has no daily budget; release it without extra")
            dates.make_waiting_due(tx, WaitReason.HELD, self._context.now())
        return allowed

    def _hold_snapshot(self, kind: str, key: str) -> Snapshotter:
        """A hold, and the extra allowance of the daily budget behind it."""

        def snapshot(tx: Transaction) -> Facts | None:
            facts = dict(_hold_facts(kind, key)(tx) or {})
            budget = budgets.get_budget(tx, self._context, kind, key)
            if budget is not None:
                facts["extra"] = budget.extra
            return facts or None

        return snapshot

    def holds(self) -> list[HoldRow]:
        """All active holds."""
        with self._context.db.read() as tx:
            return holds.all_holds(tx)

    def pause(self, backfill_id: int, *, by: Actor) -> None:
        """Start no more jobs of a backfill; running ones go on to their end. Idempotent.

        Raises:
            NotFound: there is no such backfill.
            Conflict: it has ended.
        """
        with self._audited(by, Action.PAUSE, *_backfill_target(backfill_id)) as tx:
            row = self._get_backfill(tx, backfill_id)
            self._refuse_ended(tx, row, "paused")
            if row.paused_at is None:
                backfills.change(tx, backfill_id, {"paused_at": self._context.now()})
                checks.clear_runnable_of(tx, backfill_id)
                dates.make_backfill_due(tx, backfill_id, self._context.now())

    def resume(self, backfill_id: int, *, by: Actor) -> None:
        """Continue a paused or stopped backfill. `max_failures` counts anew from here.

        Raises:
            NotFound: there is no such backfill.
            Conflict: it was cancelled or has finished.
        """
        with self._audited(by, Action.RESUME, *_backfill_target(backfill_id)) as tx:
            row = self._get_backfill(tx, backfill_id)
            self._refuse_ended(tx, row, "resumed")
            changes: dict[str, object] = {"paused_at": None, "stopped_at": None, "stop_reason": ""}
            if row.stopped_at is not None:
                changes["failures_baseline"] = backfills.failed_dates(tx, backfill_id)
            backfills.change(tx, backfill_id, changes)
            dates.make_backfill_due(tx, backfill_id, self._context.now())

    def cancel(self, backfill_id: int, *, by: Actor) -> None:
        """Stop a backfill and its running jobs. Its live dates fail as `cancelled`.

        Dates and jobs that other backfills want go on for these.

        Raises:
            NotFound: there is no such backfill.
            Conflict: it has finished.
        """
        with self._audited(by, Action.CANCEL, *_backfill_target(backfill_id)) as tx:
            row = self._get_backfill(tx, backfill_id)
            if row.cancelled_at is not None:
                return
            self._refuse_ended(tx, row, "cancelled")
            backfills.change(tx, backfill_id, {"cancelled_at": self._context.now()})
            checks.clear_runnable_of(tx, backfill_id)
            dates.make_backfill_due(tx, backfill_id, self._context.now())
            interests.elect_leads(tx, interests.withdraw(tx, backfill_id))
            cancel_unwanted(tx)

    def retry(self, backfill_id: int, *, by: Actor) -> int:
        """Requeue the failed dates of a backfill. Returns how many; 0 if repeated.

        Raises:
            NotFound: there is no such backfill.
            Conflict: it has no failed or live date, or it is still being cancelled.
        """
        with self._audited(by, Action.RETRY, *_backfill_target(backfill_id)) as tx:
            row = self._get_backfill(tx, backfill_id)
            if backfills.status(tx, row) == "cancelling":
                raise Conflict(_BEING_CANCELLED.format(backfill_id))
            failed = backfills.ended_dates(tx, backfill_id, FAILED)
            if not failed and not backfills.live_dates(tx, backfill_id):
                raise Conflict(f"backfill {backfill_id} has no date that failed or is live")
            moves = retry_failed(tx, self._context, backfill_id, failed, by)
            dates.make_backfill_due(tx, backfill_id, self._context.now())
        self._context.emit_all(moves)
        return len(failed)

    def retry_date(self, date: dt.date, *, by: Actor, force: bool = False, cascades: bool = False) -> None:
        """Requeue one ended date.

        `cascades`: rerun its sequential phases whatever their verdicts, and those of every later done date
        that is stale because of it, now or through what this retry repairs (`engine.stale_dates`).

        Raises:
            NotFound: the date was never enqueued.
            Conflict: it has not ended, or its backfill is still being cancelled.
        """
        with self._audited(by, Action.RETRY, str(date), _date_facts(date)) as tx:
            row = self._get_date(tx, date)
            if row.state not in FINAL:
                raise Conflict(f"{date} is in {row.state}; only done and failed dates can be retried")
            mode = RunMode.FORCE if force else RunMode.RETRY
            moves = self._requeue_one(tx, row, mode, by, "retry", cascades=cascades)
            if cascades:
                moves += stale_dates.requeue_stale(tx, self._context, date, actor=by.name)
        self._context.emit_all(moves)

    def retry_marked(self, mark: Mark, start: dt.date, end: dt.date, *, by: Actor) -> list[dt.date]:
        """Requeue the done dates with a mark. Returns them.

        Regressed dates run what is missing. Stale dates rerun their sequential phases once.
        """
        with self._audited(by, Action.RETRY, f"{mark} dates", _marked_facts(mark)) as tx:
            marked = dates.page(tx, start=start, end=end, states=[DONE], mark=mark, limit=MOST_AT_ONCE)
            moves = requeue(
                tx,
                self._context,
                marked,
                mode=RunMode.RETRY,
                actor=by.name,
                reason=f"retry of {mark} dates",
                cascades=mark is Mark.STALE,
            )
        self._context.emit_all(moves)
        return [move.date for move in moves]

    def accept(self, date: dt.date, processor: str, *, by: Actor, reason: str) -> None:
        """Accept a gap: the date may pass without this processor's output. A failed date is requeued.

        Raises:
            NotFound: the pipeline has no such processor.
            Conflict: the output is complete, so there is no gap.
        """
        if processor not in self._context.pipeline.processors:
            processors = self._context.pipeline.processors
            raise NotFound(f"there is no processor '{processor}'; {did_you_mean(processor, processors)}")
        now, moves = self._context.now(), list[DateMoved]()
        with self._audited(by, Action.ACCEPT, str(date), _date_facts(date, processor)) as tx:
            row = dates.get(tx, date)
            check = checks.for_dates(tx, [date])[date].get(processor)
            if check is not None and check.verdict.satisfied and check.satisfied:
                raise Conflict(f"{processor} is {check.verdict} on {date}; there is no gap to accept")
            checks.accept(tx, date, processor, actor=by.name, reason=reason, now=now)
            if row is not None and row.state == FAILED:
                moves = self._requeue_one(
                    tx, row, RunMode.NORMAL, by, f"gap of {processor} accepted: {reason}"
                )
            regressed_dates.update(tx, self._context, [date])
            dates.make_dates_due(tx, [date], now)
            upstream.wake_unblocked(tx, self._context, [(date, processor)])
            compared = ratio_references.waiting_pairs(self._context.pipeline, [(date, processor)])
            checks.request_check(tx, compared, self._context.now())
        self._context.emit_all(moves)

    @contextlib.contextmanager
    def _audited(
        self, by: Actor, action: Action, target: str, snapshot: Snapshotter
    ) -> Iterator[Transaction]:
        """A transaction that also writes the audit row, if the snapshot of the target has changed."""
        with self._context.db.write() as tx:
            before = snapshot(tx)
            yield tx
            after = snapshot(tx)
            if before != after:
                audit.record(tx, by, action, target, before=before, after=after, now=self._context.now())

    def _requeue_one(
        self, tx: Transaction, row: DateRow, mode: RunMode, by: Actor, reason: str, *, cascades: bool = False
    ) -> list[DateMoved]:
        moves = requeue(tx, self._context, [row], mode=mode, actor=by.name, reason=reason, cascades=cascades)
        if not moves:
            raise Conflict(_BEING_CANCELLED.format(row.backfill_id))
        return moves

    def _refuse_ended(self, tx: Transaction, row: BackfillRow, verb: str) -> None:
        status = backfills.status(tx, row)
        if status in ("finished", "cancelled", "cancelling"):
            raise Conflict(f"backfill {row.id} is {status}; it cannot be {verb}")

    def _get_backfill(self, tx: Transaction, backfill_id: int) -> BackfillRow:
        row = backfills.get(tx, backfill_id)
        if row is None:
            raise NotFound(f"there is no backfill {backfill_id}")
        return row

    def _get_date(self, tx: Transaction, date: dt.date) -> DateRow:
        row = dates.get(tx, date)
        if row is None:
            raise NotFound(f"{date} was never enqueued")
        return row


def _hold_facts(kind: str, key: str) -> Snapshotter:
    def snapshot(tx: Transaction) -> Facts | None:
        for hold in holds.all_holds(tx):
            if (hold.kind, hold.key) == (kind, key):
                return {"reason": hold.reason, "actor": hold.actor, "since": hold.since}
        return None

    return snapshot


def _backfill_target(backfill_id: int) -> tuple[str, Snapshotter]:
    """A backfill as an audit target, with its snapshot."""

    def snapshot(tx: Transaction) -> Facts | None:
        row = backfills.get(tx, backfill_id)
        if row is None:
            return None
        return {
            "status": backfills.status(tx, row),
            "paused": row.paused_at is not None,
            "stopped": row.stopped_at is not None,
            "live": backfills.live_dates(tx, backfill_id),
            "failed": backfills.failed_dates(tx, backfill_id),
            "failures_baseline": row.failures_baseline,
        }

    return f"backfill {backfill_id}", snapshot


def _marked_facts(mark: Mark) -> Snapshotter:
    """How many done dates have a mark. A requeued stale date keeps it until it was computed again."""

    def snapshot(tx: Transaction) -> Facts | None:
        count = reporting.number_of_dates(tx, start=dt.date.min, end=dt.date.max, states=[DONE], mark=mark)
        return {"dates": count}

    return snapshot


def _date_facts(date: dt.date, processor: str = "") -> Snapshotter:
    """A date, with the accepted gap of one of its processors."""

    def snapshot(tx: Transaction) -> Facts | None:
        row = dates.get(tx, date)
        check = checks.for_dates(tx, [date])[date].get(processor)
        facts: dict[str, object] = {}
        if row is not None:
            facts |= {"state": row.state, "outcome": row.outcome, "backfill": row.backfill_id}
        if check is not None:
            waiver = {"processor": processor, "by": check.accepted_by, "reason": check.accepted_reason}
            facts["accepted"] = waiver
        return facts or None

    return snapshot
