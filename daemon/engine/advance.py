"""Moves due dates: admits, advances through satisfied gates, fails and cancels them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence

from backfilld.daemon.engine import (
    missing_upstream,
    periods,
    processor_and_table_holds,
    return_to_earlier_phase,
    stale_dates,
    vanished_input_waits,
)
from backfilld.daemon.engine.advance_batch import AdvanceBatch, DateWalk
from backfilld.daemon.engine.backfill_failures_and_retry import record_failure, settle
from backfilld.daemon.engine.closed_hours import WindowReader
from backfilld.daemon.engine.completed_date_outcome import done_outcome
from backfilld.daemon.engine.context import ACTOR, EngineContext
from backfilld.daemon.engine.due_checks import DueChecks
from backfilld.daemon.engine.gate_decision import decide_gate
from backfilld.daemon.engine.owning_backfills import forced_pairs, read_owners, waived_pairs
from backfilld.daemon.engine.partly_selected_dates import mark_unselected_stale
from backfilld.daemon.engine.transition_reasons import admission_reason, advance_reason
from backfilld.daemon.event_types import Event, GateEvaluated, GateResult
from backfilld.state.pipeline.phase import DONE, FAILED, PENDING, Stage
from backfilld.state.records import CheckRow, DateRow, HoldRow
from backfilld.state.rules.compared_processors import compared_with, waiting_pairs
from backfilld.state.rules.date_outcomes import Outcome
from backfilld.state.rules.gates import Advance, Decision, Fail, Start, Wait, WaitReason, Waiver
from backfilld.state.rules.overlapping_backfills import Ownership
from backfilld.state.rules.state_machine import FINAL, Trigger
from backfilld.state.store import backfill_dates, calendar_days, checks, dates, reset_checks, transitions
from backfilld.state.store.database import Transaction
from backfilld.state.store.dates import WaitStatus
from backfilld.state.store.transitions import DateStatus, Move

_GATE_RESULTS: Mapping[type[Decision], GateResult] = {
    Advance: "advance",
    Start: "run",
    Wait: "wait",
    Fail: "fail",
}


class Advancer:
    """Advances due dates, one batch per transaction."""

    def __init__(self, context: EngineContext) -> None:
        self._context = context
        self._pipeline = context.pipeline

    def advance(self, tx: Transaction, active_holds: Sequence[HoldRow]) -> list[Event]:
        """Process the dates that are due, oldest first, at most `EngineContext.batch`. Returns the events."""
        due = dates.due(tx, self._context.now(), self._context.batch)
        if not due:
            return []
        batch = self._read(tx, due, processor_and_table_holds.held_processors(self._pipeline, active_holds))
        # Admissions first: they reset outputs that other dates of the batch may need.
        for row in due:
            if row.state == PENDING:
                self._process(batch, row)
        self._store_admissions(batch)
        for row in due:
            if row.state != PENDING:
                self._process(batch, row)
        self._finish(batch)
        periods.settle_pass(tx, self._context, due, batch.await_period)
        # Last: a stop also holds back the dates that a failed one lets start in its period.
        for _, backfill in sorted(batch.failed_in.items()):
            batch.events += record_failure(tx, self._context, backfill)
        return batch.events

    def _read(self, tx: Transaction, due: list[DateRow], held: Mapping[str, str]) -> AdvanceBatch:
        due_dates = [row.date for row in due]
        counts_by_date = calendar_days.for_dates(tx, due_dates)
        return AdvanceBatch(
            tx=tx,
            owners=read_owners(tx, due_dates),
            checks=DueChecks(tx, self._pipeline, due),
            days={date: self._pipeline.seasons.day(date, count) for date, count in counts_by_date.items()},
            upstream=missing_upstream.UpstreamReader(tx, self._context, max(due_dates, default=dt.date.min)),
            held=held,
            closed=WindowReader(tx, self._context).closed(),
            without_calendar=missing_upstream.without_calendar(
                tx, self._context, [r.date for r in due if r.state == PENDING]
            ),
        )

    def _store_admissions(self, batch: AdvanceBatch) -> None:
        tx, now, admitted = batch.tx, self._context.now(), batch.admitted
        again = stale_dates.rewritten(tx, admitted)
        readmitted = transitions.readmitted(tx, admitted)
        forced = forced_pairs(self._pipeline, admitted, batch.owners)
        waived = waived_pairs(tx, admitted, batch.owners)
        reset_checks.reset_for(
            tx, admitted, self._pipeline.processors, now, again, readmitted, forced, waived
        )
        stale_dates.hold_back(tx, self._pipeline, admitted)
        backfill_dates.admitted(tx, [row.date for row in admitted])

    def _finish(self, batch: AdvanceBatch) -> None:
        tx, now = batch.tx, self._context.now()
        transitions.move(tx, batch.moves, actor=ACTOR, now=now)
        dates.set_waiting(tx, batch.waits)  # later writes may make some of them due again
        dates.set_season(tx, batch.seasons)
        settle(tx, batch.ended)
        mark_unselected_stale(tx, self._context, batch.ended, batch.owners)
        stale_dates.settle(tx, self._context, batch.ended)
        ended = [move.row for move in batch.moves if move.state in FINAL]
        batch.not_owed += stale_dates.release(tx, ended)
        dependents = sorted(row.date for row in (*batch.admitted, *batch.unchecked))
        missing_upstream.create_needed_checks(tx, self._context, [batch.days[date] for date in dependents])
        checks.request_check(tx, batch.to_query, now, evaluated=True)
        checks.clear_runnable(tx, sorted({*batch.not_startable} - {*batch.startable}))
        checks.set_runnable(tx, [pair for pair in batch.startable if not batch.is_runnable(pair)])
        periods.create_checks(tx, self._context, (row.date for row in batch.admitted))
        missing_upstream.wake_unblocked(tx, self._context, [*batch.waived, *batch.not_owed])
        checks.request_check(tx, waiting_pairs(self._pipeline, batch.waived), now)

    def _process(self, batch: AdvanceBatch, row: DateRow) -> None:
        owners = batch.owners[row.date]
        if not owners.owners:
            self._cancel(batch, row)
        elif row.state == PENDING:
            self._admit(batch, row, owners)
        elif row.state not in FINAL and owners.restarting:
            self._restart(batch, row, owners)
        elif row.state not in FINAL:
            self._advance_through_gates(batch, row)

    def _cancel(self, batch: AdvanceBatch, row: DateRow) -> None:
        """Fail a date that no backfill wants any more, once none of its attempts is running."""
        if self._waits_for_attempt(batch, row):
            return
        batch.withdraw_rewrites(row.date)
        walk = DateWalk(row, row.state, row.entered_at)
        walk.step(Trigger.CANCEL, FAILED, f"backfill {row.backfill_id} was cancelled")
        self._end(batch, walk, Outcome.CANCELLED, f"backfill {row.backfill_id} was cancelled")

    def _restart(self, batch: AdvanceBatch, row: DateRow, owners: Ownership) -> None:
        """Put a live date back to `pending` for a backfill that joined, once no attempt is running."""
        if self._waits_for_attempt(batch, row):
            return
        names = ", ".join(f"backfill {owner.id}" for owner in owners.restarting)
        self._readmit(batch, row, f"it starts again for {names}")

    def _waits_for_attempt(self, batch: AdvanceBatch, row: DateRow) -> bool:
        """Whether an attempt of the date is running. No other starts, and the date waits for its end."""
        batch.keep_from_starting(row.date)
        running = any(check.attempt_id is not None for check in batch.checks.decisive(row.date).values())
        if running:
            batch.waits.append(WaitStatus(row=row, waiting=WaitReason.ATTEMPT))
        return running

    def _readmit(self, batch: AdvanceBatch, row: DateRow, reason: str) -> None:
        now = self._context.now()
        batch.keep_from_starting(row.date)
        walk = DateWalk(row, row.state, row.entered_at)
        walk.step(Trigger.READMIT, PENDING, reason)
        self._commit(batch, walk, DateStatus(waiting=WaitReason.ENGINE, due_at=now, entered_at=now))

    def _admit(self, batch: AdvanceBatch, row: DateRow, owners: Ownership) -> None:
        day = batch.days.get(row.date)
        if paused := owners.paused:
            batch.waits.append(WaitStatus(row=row, waiting=WaitReason.PAUSED, text=paused))
        elif day is None or (day.expected and row.date in batch.without_calendar):
            batch.waits.append(WaitStatus(row=row, waiting=WaitReason.CALENDAR))
        elif not day.expected and self._waits_for_attempt(batch, row):
            return  # a changed file put the date back in the middle of its work
        elif not day.expected:
            walk = DateWalk(row, row.state, row.entered_at)
            walk.step(Trigger.DISMISS, DONE, day.reason)
            self._end(batch, walk, Outcome.NOT_EXPECTED, day.reason)
        else:
            first = self._context.machine.step(PENDING, Trigger.ADMIT)
            walk = DateWalk(row, row.state, self._context.now())
            walk.step(Trigger.ADMIT, first, admission_reason(day))
            batch.admitted.append(row)
            batch.seasons.append((row.date, day.season or ""))
            self._commit(batch, walk, DateStatus(waiting=WaitReason.VERDICT, entered_at=walk.entered_at))

    def _advance_through_gates(self, batch: AdvanceBatch, row: DateRow) -> None:
        """Pass every satisfied gate, then end the date or record what it waits for."""
        walk = DateWalk(row, row.state, row.entered_at)
        date_checks = batch.checks.decisive(row.date)
        stage = self._pipeline.stage[row.state]
        if wait := return_to_earlier_phase.wait(self._pipeline, stage, date_checks):
            batch.keep_from_starting(row.date)
            self._wait(batch, walk, wait)
            return
        if missing := return_to_earlier_phase.missing_again(self._pipeline, stage, date_checks):
            vanished_input_waits.forget_attempts(batch, row.date, stage, date_checks)
            self._readmit(batch, row, return_to_earlier_phase.readmission_reason(missing))
            return
        while walk.state not in FINAL:
            stage = self._pipeline.stage[walk.state]
            date_checks = batch.checks.at(row.date, stage.name)
            decision = decide_gate(self._context, batch, walk, stage, date_checks)
            batch.events.append(GateEvaluated(phase=stage.phase.name, result=_GATE_RESULTS[type(decision)]))
            if isinstance(decision, Advance):
                self._advance(batch, walk, stage, date_checks, decision)
                continue
            batch.keep_from_starting(row.date)
            if isinstance(decision, Fail):
                walk.step(Trigger.FAIL, FAILED, decision.reason)
                batch.failed_in |= {owner.id: owner for owner in batch.owners[row.date].owners}
                self._end(batch, walk, decision.outcome, decision.reason)
            else:
                self._wait(batch, walk, decision)
            return
        self._end(batch, walk, *done_outcome(self._pipeline, batch, walk))

    def _advance(
        self,
        batch: AdvanceBatch,
        walk: DateWalk,
        stage: Stage,
        date_checks: Mapping[str, CheckRow],
        decision: Advance,
    ) -> None:
        self._record_waivers(batch, walk.row.date, stage, date_checks, decision.waivers)
        bypasses = self._context.machine.after(stage, batch.days[walk.row.date]) != stage.index + 1
        trigger = Trigger.BYPASS if bypasses else Trigger.ADVANCE
        query_times = [date_checks[p.name].asked_at for p in stage.processors]
        # The query that satisfied this gate also covered the next state: that is its validation on entry.
        walk.entered_at = max([walk.entered_at, *(at for at in query_times if at is not None)])
        walk.step(
            trigger,
            self._context.machine.step(walk.state, trigger),
            advance_reason(stage, decision, date_checks),
        )

    def _record_waivers(
        self,
        batch: AdvanceBatch,
        date: dt.date,
        stage: Stage,
        date_checks: Mapping[str, CheckRow],
        waivers: Mapping[str, Waiver],
    ) -> None:
        """Record what a date goes without whose gate is satisfied: no later date waits for that."""
        names = [p.name for p in stage.processors]
        obsolete = [n for n in names if date_checks[n].waived_by and n not in waivers]
        checks.clear_waivers(batch.tx, [(date, name) for name in obsolete])
        not_owed = [
            (date, n)
            for n in names
            if date_checks[n].verdict.satisfied and not (date_checks[n].satisfied or n in waivers)
        ]
        checks.set_satisfied(batch.tx, not_owed)
        batch.not_owed += not_owed
        self._waive(batch, date, date_checks, waivers)

    def _wait(self, batch: AdvanceBatch, walk: DateWalk, decision: Start | Wait) -> None:
        date = walk.row.date
        wait = batch.let_start(self._pipeline, date, decision) if isinstance(decision, Start) else decision
        if wait.is_satisfied:
            stage = self._pipeline.stage[walk.state]
            date_checks = batch.checks.at(date, stage.name)
            self._record_waivers(batch, date, stage, date_checks, wait.waivers)
        else:
            self._update_waivers(batch, walk, wait)
        batch.to_query += [(date, name) for name in wait.ask]
        status = DateStatus(
            waiting=wait.waiting, waiting_text=wait.text, due_at=wait.until, entered_at=walk.entered_at
        )
        if walk.transitions:
            self._commit(batch, walk, status)
        else:
            waiting = WaitStatus(row=walk.row, waiting=wait.waiting, text=wait.text, due_at=wait.until)
            batch.waits.append(waiting)

    def _update_waivers(self, batch: AdvanceBatch, walk: DateWalk, wait: Wait) -> None:
        """Before the gate opens, record waivers that other outputs wait for; clear those of what is owed.

        What waits for them is compared with a reference, or is of another date of a period: the gate may open
        only after these, so that both would wait for each other.
        """
        pipeline, stage = self._pipeline, self._pipeline.stage[walk.state]
        waivers = {
            name: waiver
            for name, waiver in wait.waivers.items()
            if pipeline.processors[name].attempt_period
            or any(pipeline.stage_of[other] is stage for other in compared_with(pipeline, name))
        }
        date, date_checks = walk.row.date, batch.checks.decisive(walk.row.date)
        self._waive(batch, date, date_checks, waivers)
        checks.clear_waivers(batch.tx, [(date, name) for name in wait.owed if date_checks[name].waived_by])

    def _waive(
        self,
        batch: AdvanceBatch,
        date: dt.date,
        date_checks: Mapping[str, CheckRow],
        waivers: Mapping[str, Waiver],
    ) -> None:
        for name, waiver in waivers.items():
            check = date_checks[name]
            if check.waiver_reason != waiver.reason or not check.satisfied:
                checks.waive(batch.tx, date, name, by=waiver.by, reason=waiver.reason)
                batch.waived.append((date, name))

    def _end(self, batch: AdvanceBatch, walk: DateWalk, outcome: Outcome, reason: str) -> None:
        now = self._context.now()
        if outcome is Outcome.NOT_EXPECTED:
            self._clear_gaps(batch, walk.row.date)
        status = DateStatus(outcome=outcome, reason=reason, entered_at=walk.entered_at, ended_at=now)
        self._commit(batch, walk, status)
        if walk.state == DONE:
            batch.ended.append(walk.row)

    def _clear_gaps(self, batch: AdvanceBatch, date: dt.date) -> None:
        """Drop the waivers of a date of which nothing is expected, and query again what it was missing.

        Later dates wait for what it was missing while it was expected. A waiver that stayed would hide what
        is missing once the calendar expects the date again.
        """
        known = batch.checks.whole(date)
        checks.clear_waivers(batch.tx, [(date, name) for name in known])
        batch.to_query += [(date, c.processor) for c in known.values() if c.waived_by or not c.satisfied]

    def _commit(self, batch: AdvanceBatch, walk: DateWalk, status: DateStatus) -> None:
        batch.moves.append(Move(row=walk.row, steps=walk.transitions, status=status))
        batch.events += walk.moves()
