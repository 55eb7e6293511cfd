"""What people change: pause, resume, cancel, retry, accept, lift. Facts in the database, nothing else.

The engine finds the facts at its next pass; a change here never waits for it.
"""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Callable, Iterator

from backfilld.daemon.engine import budgets, cascade, lookback, regression
from backfilld.daemon.engine.attempt_monitor import cancel_running
from backfilld.daemon.engine.context import EngineContext
from backfilld.daemon.engine.requeue import requeue
from backfilld.daemon.events import DateMoved
from backfilld.state.errors import BackfilldError
from backfilld.state.pipeline.phase import DONE, FAILED
from backfilld.state.records import Action, Actor, BackfillRow, DateRow, HoldRow, Mark, RunMode
from backfilld.state.rules.gates import WaitReason
from backfilld.state.rules.machine import FINAL
from backfilld.state.store import audit, backfills, checks, circuit_breaker, dates, holds, queries
from backfilld.state.store.audit import Facts
from backfilld.state.store.database import Transaction
from backfilld.state.suggestions import did_you_mean

Snapshotter = Callable[[Transaction], Facts | None]
"""What is recorded of a thing, before and after its change."""
MOST_AT_ONCE = 20_000
"""Marked dates that one call puts back at most."""
EVERYTHING = "everything"
"""The target of what changes all at once."""


class NotFound(BackfilldError):
    """There is no such backfill, date, processor or attempt."""


class Conflict(BackfilldError):
    """The request makes no sense as things stand; the message says why."""


class Commands:
    """Every change that a person can ask for."""

    def __init__(self, context: EngineContext) -> None:
        self._context = context

    def pause_everything(self, *, by: Actor, reason: str) -> None:
        """Start nothing more, whatever happens, until `resume_everything`; running jobs end."""
        with self._audited(by, Action.PAUSE, EVERYTHING, _hold("all", holds.EVERYTHING)) as tx:
            holds.place(tx, "all", holds.EVERYTHING, reason=reason, actor=by.name, now=self._context.now())

    def resume_everything(self, *, by: Actor) -> None:
        """Lift the pause of everything, if there is one."""
        with self._audited(by, Action.RESUME, EVERYTHING, _hold("all", holds.EVERYTHING)) as tx:
            holds.release(tx, "all", holds.EVERYTHING)

    def lift(self, kind: str, key: str, *, by: Actor, extra: int | None = None) -> int | None:
        """Lift a hold: of a processor, a table, or questions to the warehouse.

        Where a daily budget is spent, `extra` attempts or bytes are allowed beyond it until the quota day
        ends, by default a tenth of its limit. Returns what was allowed; None where no budget was touched.

        Raises:
            NotFound: there is no such hold.
            Refused: `extra` is asked for, and there is no such budget.
        """
        what = f"{kind} {key}".strip()
        with self._audited(by, Action.RELEASE, what, self._budgeted(kind, key)) as tx:
            if not holds.release(tx, kind, key):
                raise NotFound(f"there is no hold of {what}")
            if kind == "processor":
                circuit_breaker.reset(tx, key)
            allowed = budgets.allow_more(tx, self._context, kind, key, extra)
            if extra is not None and allowed is None:
                raise Conflict(f"{what} has no daily budget; lift it without extra")
            dates.make_waiting_due(tx, WaitReason.HELD, self._context.now())
        return allowed

    def _budgeted(self, kind: str, key: str) -> Snapshotter:
        """A hold, and what is allowed beyond the daily budget behind it."""

        def look(tx: Transaction) -> Facts | None:
            found = dict(_hold(kind, key)(tx) or {})
            budget = budgets.find(tx, self._context, kind, key)
            if budget is not None:
                found["extra"] = budget.extra
            return found or None

        return look

    def holds(self) -> list[HoldRow]:
        """Everything that is held now."""
        with self._context.db.read() as tx:
            return holds.all_holds(tx)

    def pause(self, number: int, *, by: Actor) -> None:
        """Start nothing more of a backfill; running attempts end. Pausing twice is once.

        Raises:
            NotFound: there is no such backfill.
            Refused: it has ended.
        """
        with self._audited(by, Action.PAUSE, *_backfill(number)) as tx:
            row = self._backfill(tx, number)
            self._refuse_ended(tx, row, "paused")
            if row.paused_at is None:
                backfills.change(tx, number, {"paused_at": self._context.now()})
                checks.clear_runnable_of(tx, number)
                dates.make_backfill_due(tx, number, self._context.now())

    def resume(self, number: int, *, by: Actor) -> None:
        """Go on with a paused or stopped backfill; the failures so far are forgiven.

        Raises:
            NotFound: there is no such backfill.
            Refused: it was cancelled or has finished.
        """
        with self._audited(by, Action.RESUME, *_backfill(number)) as tx:
            row = self._backfill(tx, number)
            self._refuse_ended(tx, row, "resumed")
            going: dict[str, object] = {"paused_at": None, "stopped_at": None, "stop_reason": ""}
            if row.stopped_at is not None:
                going["failures_baseline"] = backfills.failed_dates(tx, number)
            backfills.change(tx, number, going)
            dates.make_backfill_due(tx, number, self._context.now())

    def cancel(self, number: int, *, by: Actor) -> None:
        """Start nothing more of a backfill and end what runs; its dates fail as cancelled.

        Raises:
            NotFound: there is no such backfill.
            Refused: it has finished.
        """
        with self._audited(by, Action.CANCEL, *_backfill(number)) as tx:
            row = self._backfill(tx, number)
            if row.cancelled_at is not None:
                return
            self._refuse_ended(tx, row, "cancelled")
            backfills.change(tx, number, {"cancelled_at": self._context.now()})
            checks.clear_runnable_of(tx, number)
            cancel_running(tx, number)
            dates.make_backfill_due(tx, number, self._context.now())

    def retry(self, number: int, *, by: Actor) -> int:
        """Put the failed dates of a backfill back to `pending`; how many there were, none if it is repeated.

        Raises:
            NotFound: there is no such backfill.
            Refused: it holds no date that failed or is live, or it is still being cancelled.
        """
        with self._audited(by, Action.RETRY, *_backfill(number)) as tx:
            row = self._backfill(tx, number)
            if backfills.status(tx, row) == "cancelling":
                raise Conflict(f"backfill {number} is being cancelled; retry when its last date has ended")
            failed = backfills.ended_dates(tx, number, FAILED)
            if not failed and not backfills.live_dates(tx, number):
                raise Conflict(f"backfill {number} has no date that failed or is live")
            held = list(dates.get_many(tx, failed).values())
            reason = f"retry of backfill {number}"
            moved = requeue(tx, self._context, held, mode=RunMode.RETRY_NO_DATA, actor=by.name, reason=reason)
            backfills.change(
                tx,
                number,
                {"cancelled_at": None, "stopped_at": None, "stop_reason": "", "failures_baseline": 0},
            )
            dates.make_backfill_due(tx, number, self._context.now())
        self._context.emit_all(moved)
        return len(failed)

    def retry_date(self, date: dt.date, *, by: Actor, force: bool = False, cascades: bool = False) -> None:
        """Put one ended date back to `pending`.

        `cascades`: its sequential phases run once whatever they show, and so do those of every later done
        date that is stale because of it, now or by what this retry repairs (`engine.cascade`).

        Raises:
            NotFound: the date was never enqueued.
            Refused: it has not ended, or its backfill is still being cancelled.
        """
        with self._audited(by, Action.RETRY, str(date), _date(date)) as tx:
            row = self._date(tx, date)
            if row.state not in FINAL:
                raise Conflict(f"{date} is in {row.state}; only done and failed dates can be retried")
            mode = RunMode.FORCE if force else RunMode.RETRY_NO_DATA
            moved = self._restart(tx, row, mode, by, "retry", cascades=cascades)
            if cascades:
                moved += cascade.requeue_stale(tx, self._context, date, actor=by.name)
        self._context.emit_all(moved)

    def retry_marked(self, mark: Mark, start: dt.date, end: dt.date, *, by: Actor) -> list[dt.date]:
        """Put the done dates with a mark back to `pending`; which they are.

        Regressed ones are validated and run what they lack, stale ones run their sequential phases once.
        """
        with self._audited(by, Action.RETRY, f"{mark} dates", _marked(mark)) as tx:
            found = dates.page(tx, start=start, end=end, states=[DONE], mark=mark, limit=MOST_AT_ONCE)
            moved = requeue(
                tx,
                self._context,
                found,
                mode=RunMode.RETRY_NO_DATA,
                actor=by.name,
                reason=f"retry of {mark} dates",
                cascades=mark is Mark.STALE,
            )
        self._context.emit_all(moved)
        return [move.date for move in moved]

    def accept(self, date: dt.date, processor: str, *, by: Actor, reason: str) -> None:
        """Accept a gap: the date may pass without this processor's output. A failed date starts again.

        Raises:
            NotFound: the pipeline has no such processor.
            Refused: the output is complete, so there is no gap.
        """
        if processor not in self._context.pipeline.processors:
            known = self._context.pipeline.processors
            raise NotFound(f"there is no processor '{processor}'; {did_you_mean(processor, known)}")
        now, moved = self._context.now(), list[DateMoved]()
        with self._audited(by, Action.ACCEPT, str(date), _date(date, processor)) as tx:
            row = dates.get(tx, date)
            check = checks.for_dates(tx, [date])[date].get(processor)
            if check is not None and check.verdict.satisfied and check.satisfied:
                raise Conflict(f"{processor} is {check.verdict} on {date}; there is no gap to accept")
            checks.accept(tx, date, processor, actor=by.name, reason=reason, now=now)
            if row is not None and row.state == FAILED:
                moved = self._restart(tx, row, RunMode.NORMAL, by, f"gap of {processor} accepted: {reason}")
            regression.update(tx, self._context, [date])
            dates.make_dates_due(tx, [date], now)
            lookback.wake_unblocked(tx, self._context, [(date, processor)])
        self._context.emit_all(moved)

    @contextlib.contextmanager
    def _audited(self, by: Actor, action: Action, target: str, look: Snapshotter) -> Iterator[Transaction]:
        """A change and its row of audit, in one transaction; what leaves all as it was is no change."""
        with self._context.db.write() as tx:
            before = look(tx)
            yield tx
            after = look(tx)
            if before != after:
                audit.record(tx, by, action, target, before=before, after=after, now=self._context.now())

    def _restart(
        self, tx: Transaction, row: DateRow, mode: RunMode, by: Actor, reason: str, *, cascades: bool = False
    ) -> list[DateMoved]:
        moved = requeue(tx, self._context, [row], mode=mode, actor=by.name, reason=reason, cascades=cascades)
        if not moved:
            number = row.backfill_id
            raise Conflict(f"backfill {number} is being cancelled; retry when its last date has ended")
        return moved

    def _refuse_ended(self, tx: Transaction, row: BackfillRow, verb: str) -> None:
        status = backfills.status(tx, row)
        if status in ("finished", "cancelled", "cancelling"):
            raise Conflict(f"backfill {row.id} is {status}; it cannot be {verb}")

    def _backfill(self, tx: Transaction, number: int) -> BackfillRow:
        row = backfills.get(tx, number)
        if row is None:
            raise NotFound(f"there is no backfill {number}")
        return row

    def _date(self, tx: Transaction, date: dt.date) -> DateRow:
        row = dates.get(tx, date)
        if row is None:
            raise NotFound(f"{date} was never enqueued")
        return row


def _hold(kind: str, key: str) -> Snapshotter:
    def look(tx: Transaction) -> Facts | None:
        for hold in holds.all_holds(tx):
            if (hold.kind, hold.key) == (kind, key):
                return {"reason": hold.reason, "actor": hold.actor, "since": hold.since}
        return None

    return look


def _backfill(number: int) -> tuple[str, Snapshotter]:
    """A backfill as the target of a change, and what is recorded of it."""

    def look(tx: Transaction) -> Facts | None:
        row = backfills.get(tx, number)
        if row is None:
            return None
        return {
            "status": backfills.status(tx, row),
            "paused": row.paused_at is not None,
            "stopped": row.stopped_at is not None,
            "live": backfills.live_dates(tx, number),
            "failed": backfills.failed_dates(tx, number),
            "failures_baseline": row.failures_baseline,
        }

    return f"backfill {number}", look


def _marked(mark: Mark) -> Snapshotter:
    """The done dates with a mark: a stale one keeps it, put back, until it was computed again."""

    def look(tx: Transaction) -> Facts | None:
        found = queries.number_of_dates(tx, start=dt.date.min, end=dt.date.max, states=[DONE], mark=mark)
        return {"dates": found}

    return look


def _date(date: dt.date, processor: str = "") -> Snapshotter:
    """A date, and the gap of one of its processors."""

    def look(tx: Transaction) -> Facts | None:
        row = dates.get(tx, date)
        check = checks.for_dates(tx, [date])[date].get(processor)
        found: dict[str, object] = {}
        if row is not None:
            found |= {"state": row.state, "outcome": row.outcome, "backfill": row.backfill_id}
        if check is not None:
            waiver = {"processor": processor, "by": check.accepted_by, "reason": check.accepted_reason}
            found["accepted"] = waiver
        return found or None

    return look
