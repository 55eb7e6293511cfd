"""What people change: pause, resume, cancel, retry, accept, lift. Facts in the database, nothing else.

The engine finds the facts at its next pass; a change here never waits for it.
"""

from __future__ import annotations

import datetime as dt

from daemon.core import Core
from daemon.decide import Waiting
from daemon.reap import cancel_running
from state.machine import FINAL
from state.pipeline import FAILED
from state.records import BackfillRow, DateRow, HoldRow, Mode
from state.store import backfills, checks, dates, holds
from state.store.database import Transaction


class NotFound(Exception):
    """There is no such backfill, date, processor or attempt."""


class Refused(Exception):
    """The request makes no sense as things stand; the message says why."""


class Control:
    """Every change that a person can ask for."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def pause_everything(self, *, actor: str, reason: str) -> None:
        """Start nothing more, whatever happens, until `resume_everything`; running jobs end."""
        with self._core.db.write() as tx:
            holds.place(tx, "all", holds.EVERYTHING, reason=reason, actor=actor, now=self._core.now())

    def resume_everything(self) -> None:
        """Lift the pause of everything."""
        self.lift("all", holds.EVERYTHING)

    def lift(self, kind: str, key: str) -> bool:
        """Lift a hold: of everything, a processor, a table, or questions to the warehouse."""
        with self._core.db.write() as tx:
            lifted = holds.lift(tx, kind, key)
            dates.wake_waiting(tx, Waiting.HELD, self._core.now())
        return lifted

    def holds(self) -> list[HoldRow]:
        """Everything that is held now."""
        with self._core.db.read() as tx:
            return holds.everything(tx)

    def pause(self, number: int) -> None:
        """Start nothing more of a backfill; running attempts end. Pausing twice is once.

        Raises:
            NotFound: there is no such backfill.
            Refused: it has ended.
        """
        with self._core.db.write() as tx:
            row = self._backfill(tx, number)
            self._refuse_ended(tx, row, "paused")
            if row.paused_at is None:
                backfills.change(tx, number, {"paused_at": self._core.now()})
                checks.clear_runnable_of(tx, number)
                dates.wake_backfill(tx, number, self._core.now())

    def resume(self, number: int) -> None:
        """Go on with a paused or stopped backfill; the failures so far are forgiven.

        Raises:
            NotFound: there is no such backfill.
            Refused: it was cancelled or has finished.
        """
        with self._core.db.write() as tx:
            row = self._backfill(tx, number)
            self._refuse_ended(tx, row, "resumed")
            failed = backfills.failed_dates(tx, number, FAILED)
            going = {"paused_at": None, "stopped_at": None, "stop_reason": ""}
            if row.stopped_at is not None:
                going["forgiven"] = failed  # type: ignore[assignment]
            backfills.change(tx, number, dict(going))
            dates.wake_backfill(tx, number, self._core.now())

    def cancel(self, number: int) -> None:
        """Start nothing more of a backfill and end what runs; its dates fail as cancelled.

        Raises:
            NotFound: there is no such backfill.
            Refused: it has finished.
        """
        with self._core.db.write() as tx:
            row = self._backfill(tx, number)
            if row.cancelled_at is not None:
                return
            self._refuse_ended(tx, row, "cancelled")
            backfills.change(tx, number, {"cancelled_at": self._core.now()})
            checks.clear_runnable_of(tx, number)
            cancel_running(tx, number)
            dates.wake_backfill(tx, number, self._core.now())

    def retry(self, number: int, *, actor: str) -> int:
        """Put the failed dates of a backfill back to `pending`; how many there were.

        Raises:
            NotFound: there is no such backfill.
            Refused: none of its dates has failed, or it is still being cancelled.
        """
        with self._core.db.write() as tx:
            row = self._backfill(tx, number)
            if backfills.status(tx, row) == "cancelling":
                raise Refused(f"backfill {number} is being cancelled; retry when its last attempt has ended")
            failed = backfills.ended_dates(tx, number, FAILED)
            if not failed:
                raise Refused(f"no date of backfill {number} has failed")
            held = list(dates.among(tx, failed).values())
            self._restart(tx, held, Mode.INSIST, actor, f"retry of backfill {number}")
            reopened = {"cancelled_at": None, "stopped_at": None, "stop_reason": "", "forgiven": 0}
            backfills.change(tx, number, dict(reopened))
        return len(failed)

    def retry_date(self, date: dt.date, *, actor: str, force: bool = False) -> None:
        """Put one ended date back to `pending`.

        Raises:
            NotFound: the date was never enqueued.
            Refused: it has not ended.
        """
        with self._core.db.write() as tx:
            row = self._date(tx, date)
            if row.state not in FINAL:
                raise Refused(f"{date} is in {row.state}; only done and failed dates can be retried")
            self._restart(tx, [row], Mode.FORCE if force else Mode.INSIST, actor, "retry")
            self._reopen(tx, row.backfill_id)

    def accept(self, date: dt.date, processor: str, *, actor: str, reason: str) -> None:
        """Accept a gap: the date may pass without this processor's output. A failed date starts again.

        Raises:
            NotFound: the pipeline has no such processor.
            Refused: the output is complete, so there is no gap.
        """
        if processor not in self._core.pipeline.processors:
            known = ", ".join(self._core.pipeline.processors)
            raise NotFound(f"there is no processor '{processor}'; known are {known}")
        now = self._core.now()
        with self._core.db.write() as tx:
            row = dates.get(tx, date)
            check = checks.of_dates(tx, [date])[date].get(processor)
            if check is not None and check.verdict.satisfied and check.satisfied:
                raise Refused(f"{processor} is {check.verdict} on {date}; there is no gap to accept")
            checks.accept(tx, date, processor, actor=actor, reason=reason, now=now)
            if row is not None and row.state == FAILED:
                self._restart(tx, [row], Mode.NORMAL, actor, f"gap of {processor} accepted: {reason}")
                self._reopen(tx, row.backfill_id)
            dates.wake_dates(tx, [date], now)
            # Whoever waits for this date may go on.
            dates.wake_waiting(tx, Waiting.EARLIER_DATE, now, after=date)

    def _restart(self, tx: Transaction, rows: list[DateRow], mode: Mode, actor: str, reason: str) -> None:
        dates.reopen_requests(tx, rows)
        dates.restart(tx, rows, mode=mode, actor=actor, reason=reason, now=self._core.now())

    def _reopen(self, tx: Transaction, number: int) -> None:
        """A cancelled backfill lives again for the date that was put back."""
        row = self._backfill(tx, number)
        if row.cancelled_at is not None and backfills.running_attempts(tx, number):
            raise Refused(f"backfill {number} is being cancelled; retry when its last attempt has ended")
        backfills.change(tx, number, {"cancelled_at": None})

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
