"""Operator commands: pause, resume, cancel, retry, accept, hold, release. They write facts to the database.

The engine reads the facts in its next tick. A command never waits for the engine.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection

from backfilld.daemon.engine import daily_budgets
from backfilld.daemon.engine.accept_dates import accept_dates
from backfilld.daemon.engine.audited_operator_change import Conflict as Conflict  # noqa: PLC0414 - a part of this interface
from backfilld.daemon.engine.audited_operator_change import NotFound as NotFound  # noqa: PLC0414 - a part of this interface
from backfilld.daemon.engine.audited_operator_change import Snapshotter, audited, no_backfill
from backfilld.daemon.engine.backfill_failures_and_retry import cancel_unwanted, retry_failed
from backfilld.daemon.engine.bulk_request import BEING_CANCELLED, DateAnswers, DateQuery, only_answer
from backfilld.daemon.engine.context import ACTOR, EngineContext
from backfilld.daemon.engine.processor_and_table_holds import place_hold
from backfilld.daemon.engine.retry_dates import Retry, retry_dates
from backfilld.state.pipeline.phase import FAILED
from backfilld.state.records import Action, Actor, BackfillRow, HoldRow
from backfilld.state.rules.gates import WaitReason
from backfilld.state.store import backfill_dates, backfills, checks, circuit_breaker, dates, holds
from backfilld.state.store.audit import Facts
from backfilld.state.store.database import Transaction

EVERYTHING = "everything"
"""The audit target of a global pause."""


class Commands:
    """Every change that an operator can make to what exists."""

    def __init__(self, context: EngineContext) -> None:
        self._context = context

    def pause_everything(self, *, by: Actor, reason: str) -> None:
        """Start no more jobs until `resume_everything`. Running jobs go on to their end."""
        with audited(self._context, by, Action.PAUSE, EVERYTHING, _hold_facts("all", holds.EVERYTHING)) as tx:
            holds.place(tx, "all", holds.EVERYTHING, reason=reason, actor=by.name, now=self._context.now())

    def resume_everything(self, *, by: Actor) -> None:
        """End the global pause, if there is one."""
        with audited(
            self._context, by, Action.RESUME, EVERYTHING, _hold_facts("all", holds.EVERYTHING)
        ) as tx:
            holds.release(tx, "all", holds.EVERYTHING)

    def hold(self, kind: str, key: str, *, by: Actor, reason: str) -> None:
        """Hold a processor, a table, or the warehouse (without a key) until an operator releases it.

        A hold that the engine has placed, such as that of an outage, becomes the operator's.

        Raises:
            Conflict: an operator holds it already.
        """
        hold_name = f"{kind} {key}".strip()
        with audited(self._context, by, Action.HOLD, hold_name, _hold_facts(kind, key)) as tx:
            if place_hold(tx, self._context, kind, key, reason=reason, actor=by.name):
                return
            if not holds.take_over(tx, kind, key, reason=reason, actor=by.name, of=ACTOR):
                raise Conflict(f"{hold_name} is held already; to change the reason, release it first")
            dates.make_waiting_due(tx, WaitReason.HELD, self._context.now())

    def release(self, kind: str, key: str, *, by: Actor, extra: int | None = None) -> int | None:
        """Release the hold of a processor, a table, or the warehouse.

        If a daily budget is used up, `extra` attempts or bytes are allowed beyond it until the quota day
        ends, by default a tenth of its limit. Returns what was allowed; None if no budget was changed.

        Raises:
            NotFound: there is no such hold.
            Conflict: `extra` was given, and there is no such budget.
        """
        hold_name = f"{kind} {key}".strip()
        with audited(self._context, by, Action.RELEASE, hold_name, self._hold_snapshot(kind, key)) as tx:
            if not holds.release(tx, kind, key):
                raise NotFound(f"there is no hold of {hold_name}; backfilld status lists the holds")
            if kind == "processor":
                circuit_breaker.reset(tx, key)
            allowed = daily_budgets.allow_more(tx, self._context, kind, key, extra)
            if extra is not None and allowed is None:
                raise Conflict(f"{hold_name} has no daily budget; release it without extra")
            dates.make_waiting_due(tx, WaitReason.HELD, self._context.now())
        return allowed

    def _hold_snapshot(self, kind: str, key: str) -> Snapshotter:
        """A hold, and the extra allowance of the daily budget behind it."""

        def snapshot(tx: Transaction) -> Facts | None:
            facts = dict(_hold_facts(kind, key)(tx) or {})
            budget = daily_budgets.get_budget(tx, self._context, kind, key)
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
        with audited(self._context, by, Action.PAUSE, *_backfill_target(backfill_id)) as tx:
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
        with audited(self._context, by, Action.RESUME, *_backfill_target(backfill_id)) as tx:
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
        with audited(self._context, by, Action.CANCEL, *_backfill_target(backfill_id)) as tx:
            row = self._get_backfill(tx, backfill_id)
            if row.cancelled_at is not None:
                return
            self._refuse_ended(tx, row, "cancelled")
            # A retry continues it, also where it was paused before.
            backfills.change(tx, backfill_id, {"cancelled_at": self._context.now(), "paused_at": None})
            checks.clear_runnable_of(tx, backfill_id)
            dates.make_backfill_due(tx, backfill_id, self._context.now())
            backfill_dates.elect_leads(tx, backfill_dates.withdraw(tx, backfill_id))
            cancel_unwanted(tx)

    def retry(self, backfill_id: int, *, by: Actor) -> int:
        """Requeue the failed dates of a backfill. Returns how many; 0 if repeated.

        Raises:
            NotFound: there is no such backfill.
            Conflict: it has no failed or live date, or it is still being cancelled.
        """
        with audited(self._context, by, Action.RETRY, *_backfill_target(backfill_id)) as tx:
            row = self._get_backfill(tx, backfill_id)
            if backfills.status(tx, row) == "cancelling":
                raise Conflict(BEING_CANCELLED.format(backfill_id))
            failed = backfills.ended_dates(tx, backfill_id, FAILED)
            if not failed and not backfills.live_dates(tx, backfill_id):
                raise Conflict(f"backfill {backfill_id} has no date that failed or is live")
            moves = retry_failed(tx, self._context, row, failed, by)
            dates.make_backfill_due(tx, backfill_id, self._context.now())
        self._context.emit_all(moves)
        return len(failed)

    def retry_date(self, date: dt.date, *, by: Actor, force: bool = False, cascades: bool = False) -> str:
        """Requeue one ended date. Returns which waivers that withdraws, as text.

        Raises:
            NotFound: the date was never enqueued.
            Conflict: it has not ended, or its backfill is still being cancelled.
        """
        how = Retry(force=force, cascades=cascades)
        return only_answer(self.retry_dates(DateQuery(dates=(date,)), how, by=by)).reason

    def retry_processor(self, date: dt.date, processor: str, *, by: Actor) -> str:
        """Run one processor of an ended date once more, whatever its verdict.

        Returns which waivers that withdraws, as text.

        Raises:
            NotFound: the date was never enqueued, or there is no such processor.
            Conflict: it has not ended, or expects nothing of the processor.
        """
        how = Retry(processors=(processor,))
        return only_answer(self.retry_dates(DateQuery(dates=(date,)), how, by=by)).reason

    def retry_dates(self, query: DateQuery, how: Retry, *, by: Actor) -> DateAnswers:
        """Requeue ended dates in one transaction; those that cannot be are refused, each with its reason.

        Raises:
            NotFound: there is no such processor.
            Conflict: too many dates match.
        """
        return retry_dates(self._context, query, how, by=by)

    def accept(self, date: dt.date, processor: str, *, by: Actor, reason: str) -> None:
        """Accept a gap: the date may pass without this processor's output. A failed date is requeued.

        Raises:
            NotFound: the pipeline has no such processor.
            Conflict: the output is satisfied, or the backfill of the date is still being cancelled.
        """
        only_answer(self.accept_dates(DateQuery(dates=(date,)), [processor], by=by, reason=reason))

    def accept_dates(
        self, query: DateQuery, processors: Collection[str], *, by: Actor, reason: str
    ) -> DateAnswers:
        """Accept gaps of dates in one transaction: of these processors, or else all that can be accepted.

        Raises:
            NotFound: there is no such processor.
            Conflict: too many dates match.
        """
        return accept_dates(self._context, query, processors, by=by, reason=reason)

    def _refuse_ended(self, tx: Transaction, row: BackfillRow, verb: str) -> None:
        status = backfills.status(tx, row)
        if status in ("finished", "cancelled", "cancelling"):
            remedy = f"; backfilld retry {row.id} runs its dates again" if status == "cancelled" else ""
            raise Conflict(f"backfill {row.id} is {status}; it cannot be {verb}{remedy}")

    def _get_backfill(self, tx: Transaction, backfill_id: int) -> BackfillRow:
        row = backfills.get(tx, backfill_id)
        if row is None:
            raise NotFound(no_backfill(backfill_id))
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
