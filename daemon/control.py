"""What people change: pause, resume, cancel, retry, accept, lift. Facts in the database, nothing else.

The engine finds the facts at its next pass; a change here never waits for it.
"""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Callable, Iterator

from daemon.core import Core
from daemon.decide import Waiting
from daemon.engine import budgets, cascade, lookback, regression
from daemon.engine.reap import cancel_running
from daemon.engine.restart import put_back
from daemon.events import Moved
from state.hints import hint
from state.machine import FINAL
from state.pipeline import DONE, FAILED
from state.records import Action, BackfillRow, Caller, DateRow, HoldRow, Mark, Mode
from state.store import audit, backfills, checks, dates, holds, reading, streaks
from state.store.audit import Facts
from state.store.database import Transaction

Look = Callable[[Transaction], Facts | None]
"""What is recorded of a thing, before and after its change."""
MOST_AT_ONCE = 20_000
"""Marked dates that one call puts back at most."""
EVERYTHING = "everything"
"""The target of what changes all at once."""


class NotFound(Exception):
    """There is no such backfill, date, processor or attempt."""


class Refused(Exception):
    """The request makes no sense as things stand; the message says why."""


class Control:
    """Every change that a person can ask for."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def pause_everything(self, *, by: Caller, reason: str) -> None:
        """Start nothing more, whatever happens, until `resume_everything`; running jobs end."""
        with self._audited(by, Action.PAUSE, EVERYTHING, _hold("all", holds.EVERYTHING)) as tx:
            holds.place(tx, "all", holds.EVERYTHING, reason=reason, actor=by.name, now=self._core.now())

    def resume_everything(self, *, by: Caller) -> None:
        """Lift the pause of everything, if there is one."""
        with self._audited(by, Action.RESUME, EVERYTHING, _hold("all", holds.EVERYTHING)) as tx:
            holds.lift(tx, "all", holds.EVERYTHING)

    def lift(self, kind: str, key: str, *, by: Caller, extra: int | None = None) -> int | None:
        """Lift a hold: of a processor, a table, or questions to the warehouse.

        Where a daily budget is spent, `extra` attempts or bytes are allowed beyond it until the quota day
        ends, by default a tenth of its limit. Returns what was allowed; None where no budget was touched.

        Raises:
            NotFound: there is no such hold.
            Refused: `extra` is asked for, and there is no such budget.
        """
        what = f"{kind} {key}".strip()
        with self._audited(by, Action.LIFT, what, self._budgeted(kind, key)) as tx:
            if not holds.lift(tx, kind, key):
                raise NotFound(f"there is no hold of {what}")
            if kind == "processor":
                streaks.reset(tx, key)
            allowed = budgets.allow_more(tx, self._core, kind, key, extra)
            if extra is not None and allowed is None:
                raise Refused(f"{what} has no daily budget; lift it without extra")
            dates.wake_waiting(tx, Waiting.HELD, self._core.now())
        return allowed

    def _budgeted(self, kind: str, key: str) -> Look:
        """A hold, and what is allowed beyond the daily budget behind it."""

        def look(tx: Transaction) -> Facts | None:
            found = dict(_hold(kind, key)(tx) or {})
            budget = budgets.find(tx, self._core, kind, key)
            if budget is not None:
                found["extra"] = budget.extra
            return found or None

        return look

    def holds(self) -> list[HoldRow]:
        """Everything that is held now."""
        with self._core.db.read() as tx:
            return holds.everything(tx)

    def pause(self, number: int, *, by: Caller) -> None:
        """Start nothing more of a backfill; running attempts end. Pausing twice is once.

        Raises:
            NotFound: there is no such backfill.
            Refused: it has ended.
        """
        with self._audited(by, Action.PAUSE, *_backfill(number)) as tx:
            row = self._backfill(tx, number)
            self._refuse_ended(tx, row, "paused")
            if row.paused_at is None:
                backfills.change(tx, number, {"paused_at": self._core.now()})
                checks.clear_runnable_of(tx, number)
                dates.wake_backfill(tx, number, self._core.now())

    def resume(self, number: int, *, by: Caller) -> None:
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
                going["forgiven"] = backfills.failed_dates(tx, number)
            backfills.change(tx, number, going)
            dates.wake_backfill(tx, number, self._core.now())

    def cancel(self, number: int, *, by: Caller) -> None:
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
            backfills.change(tx, number, {"cancelled_at": self._core.now()})
            checks.clear_runnable_of(tx, number)
            cancel_running(tx, number)
            dates.wake_backfill(tx, number, self._core.now())

    def retry(self, number: int, *, by: Caller) -> int:
        """Put the failed dates of a backfill back to `pending`; how many there were, none if it is repeated.

        Raises:
            NotFound: there is no such backfill.
            Refused: it holds no date that failed or is live, or it is still being cancelled.
        """
        with self._audited(by, Action.RETRY, *_backfill(number)) as tx:
            row = self._backfill(tx, number)
            if backfills.status(tx, row) == "cancelling":
                raise Refused(f"backfill {number} is being cancelled; retry when its last date has ended")
            failed = backfills.ended_dates(tx, number, FAILED)
            if not failed and not backfills.live_dates(tx, number):
                raise Refused(f"backfill {number} has no date that failed or is live")
            held = list(dates.among(tx, failed).values())
            reason = f"retry of backfill {number}"
            moved = put_back(tx, self._core, held, mode=Mode.INSIST, actor=by.name, reason=reason)
            backfills.change(
                tx, number, {"cancelled_at": None, "stopped_at": None, "stop_reason": "", "forgiven": 0}
            )
            dates.wake_backfill(tx, number, self._core.now())
        self._core.tell_all(moved)
        return len(failed)

    def retry_date(self, date: dt.date, *, by: Caller, force: bool = False, cascades: bool = False) -> None:
        """Put one ended date back to `pending`.

        `cascades`: its sequential phases run once whatever they show, and so do those of every later done
        date that is stale because of it, now or by what this retry repairs (`daemon.engine.cascade`).

        Raises:
            NotFound: the date was never enqueued.
            Refused: it has not ended, or its backfill is still being cancelled.
        """
        with self._audited(by, Action.RETRY, str(date), _date(date)) as tx:
            row = self._date(tx, date)
            if row.state not in FINAL:
                raise Refused(f"{date} is in {row.state}; only done and failed dates can be retried")
            mode = Mode.FORCE if force else Mode.INSIST
            moved = self._restart(tx, row, mode, by, "retry", cascades=cascades)
            if cascades:
                moved += cascade.follow(tx, self._core, date, actor=by.name)
        self._core.tell_all(moved)

    def retry_marked(self, mark: Mark, start: dt.date, end: dt.date, *, by: Caller) -> list[dt.date]:
        """Put the done dates with a mark back to `pending`; which they are.

        Regressed ones are validated and run what they lack, stale ones run their sequential phases once.
        """
        with self._audited(by, Action.RETRY, f"{mark} dates", _marked(mark)) as tx:
            found = dates.page(tx, start=start, end=end, states=[DONE], mark=mark, limit=MOST_AT_ONCE)
            moved = put_back(
                tx,
                self._core,
                found,
                mode=Mode.INSIST,
                actor=by.name,
                reason=f"retry of {mark} dates",
                cascades=mark is Mark.STALE,
            )
        self._core.tell_all(moved)
        return [move.date for move in moved]

    def accept(self, date: dt.date, processor: str, *, by: Caller, reason: str) -> None:
        """Accept a gap: the date may pass without this processor's output. A failed date starts again.

        Raises:
            NotFound: the pipeline has no such processor.
            Refused: the output is complete, so there is no gap.
        """
        if processor not in self._core.pipeline.processors:
            known = self._core.pipeline.processors
            raise NotFound(f"there is no processor '{processor}'; {hint(processor, known)}")
        now, moved = self._core.now(), list[Moved]()
        with self._audited(by, Action.ACCEPT, str(date), _date(date, processor)) as tx:
            row = dates.get(tx, date)
            check = checks.of_dates(tx, [date])[date].get(processor)
            if check is not None and check.verdict.satisfied and check.satisfied:
                raise Refused(f"{processor} is {check.verdict} on {date}; there is no gap to accept")
            checks.accept(tx, date, processor, actor=by.name, reason=reason, now=now)
            if row is not None and row.state == FAILED:
                moved = self._restart(tx, row, Mode.NORMAL, by, f"gap of {processor} accepted: {reason}")
            regression.note(tx, self._core, [date])
            dates.wake_dates(tx, [date], now)
            lookback.unblock(tx, self._core, [(date, processor)])
        self._core.tell_all(moved)

    @contextlib.contextmanager
    def _audited(self, by: Caller, action: Action, target: str, look: Look) -> Iterator[Transaction]:
        """A change and its row of audit, in one transaction; what leaves all as it was is no change."""
        with self._core.db.write() as tx:
            before = look(tx)
            yield tx
            after = look(tx)
            if before != after:
                audit.record(tx, by, action, target, before=before, after=after, now=self._core.now())

    def _restart(
        self, tx: Transaction, row: DateRow, mode: Mode, by: Caller, reason: str, *, cascades: bool = False
    ) -> list[Moved]:
        moved = put_back(tx, self._core, [row], mode=mode, actor=by.name, reason=reason, cascades=cascades)
        if not moved:
            number = row.backfill_id
            raise Refused(f"backfill {number} is being cancelled; retry when its last date has ended")
        return moved

    def _refuse_ended(self, tx: Transaction, row: BackfillRow, verb: str) -> None:
        status = backfills.status(tx, row)
        if status in ("finished", "cancelled", "cancelling"):
            raise Refused(f"backfill {row.id} is {status}; it cannot be {verb}")

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


def _hold(kind: str, key: str) -> Look:
    def look(tx: Transaction) -> Facts | None:
        for hold in holds.everything(tx):
            if (hold.kind, hold.key) == (kind, key):
                return {"reason": hold.reason, "actor": hold.actor, "since": hold.since}
        return None

    return look


def _backfill(number: int) -> tuple[str, Look]:
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
            "forgiven": row.forgiven,
        }

    return f"backfill {number}", look


def _marked(mark: Mark) -> Look:
    """The done dates with a mark: a stale one keeps it, put back, until it was computed again."""

    def look(tx: Transaction) -> Facts | None:
        found = reading.number_of_dates(tx, start=dt.date.min, end=dt.date.max, states=[DONE], mark=mark)
        return {"dates": found}

    return look


def _date(date: dt.date, processor: str = "") -> Look:
    """A date, and the gap of one of its processors."""

    def look(tx: Transaction) -> Facts | None:
        row = dates.get(tx, date)
        check = checks.of_dates(tx, [date])[date].get(processor)
        found: dict[str, object] = {}
        if row is not None:
            found |= {"state": row.state, "outcome": row.outcome, "backfill": row.backfill_id}
        if check is not None:
            gap = {"processor": processor, "by": check.accepted_by, "reason": check.accepted_reason}
            found["accepted"] = gap
        return found or None

    return look
