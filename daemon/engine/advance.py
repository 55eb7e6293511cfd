"""Moves due dates: admits, advances through satisfied gates, fails and cancels them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from backfilld.daemon.engine import earlier_states, hold_placement, ratio_references, stale_dates, upstream
from backfilld.daemon.engine.context import ACTOR, EngineContext
from backfilld.daemon.engine.transition_reasons import admission_reason, advance_reason, paused_reason
from backfilld.daemon.events import DateMoved, Event, GateEvaluated, Incident
from backfilld.state.formatting import pluralize
from backfilld.state.pipeline.phase import DONE, FAILED, PENDING, Stage
from backfilld.state.records import BackfillRow, CheckRow, DateRow
from backfilld.state.rules.calendar import Day
from backfilld.state.rules.gates import (
    Advance,
    Decision,
    Fail,
    GateContext,
    Start,
    Wait,
    WaitReason,
    WaivedBy,
    decide,
)
from backfilld.state.rules.machine import FINAL, Trigger
from backfilld.state.rules.outcome import Outcome
from backfilld.state.store import backfills, calendar_days, check_resets, checks, dates, holds, transitions
from backfilld.state.store.database import Transaction
from backfilld.state.store.dates import WaitStatus
from backfilld.state.store.transitions import DateStatus, Transition


@dataclass(slots=True)
class _AdvanceBatch:
    """The due dates of one pass: what was read for them, and the writes collected for its end."""

    tx: Transaction
    backfills: Mapping[int, BackfillRow]
    checks_by_date: Mapping[dt.date, Mapping[str, CheckRow]]
    days: Mapping[dt.date, Day]
    held: Mapping[str, str]
    without_calendar: Collection[dt.date]
    upstream: upstream.UpstreamReader
    admitted: list[DateRow] = field(default_factory=list)
    unchecked: list[DateRow] = field(default_factory=list)
    """The dates that wait for an earlier one, which may have no check yet."""
    waits: list[WaitStatus] = field(default_factory=list)
    to_query: list[checks.Pair] = field(default_factory=list)
    startable: list[checks.Pair] = field(default_factory=list)
    not_startable: list[checks.Pair] = field(default_factory=list)
    waived: list[checks.Pair] = field(default_factory=list)
    not_owed: list[checks.Pair] = field(default_factory=list)
    """Complete outputs that `force` does not rewrite, because no job of the request may run."""
    ended: list[DateRow] = field(default_factory=list)
    failed_in: set[int] = field(default_factory=set)
    events: list[Event] = field(default_factory=list)


@dataclass(slots=True)
class _DateWalk:
    """One date in one pass: its current state and the transitions made so far."""

    row: DateRow
    state: str
    entered_at: float
    transitions: list[Transition] = field(default_factory=list)

    def step(self, trigger: Trigger, target: str, reason: str = "") -> None:
        """Add a transition and enter `target`."""
        self.transitions.append(Transition(trigger=trigger, target=target, reason=reason))
        self.state = target


class Advancer:
    """Advances due dates, one batch per transaction."""

    def __init__(self, context: EngineContext) -> None:
        self._context = context
        self._pipeline = context.pipeline

    def run(self) -> int:
        """Process the dates that are due, oldest first. Returns how many: at most `EngineContext.batch`."""
        with self._context.db.write() as tx:
            due = dates.due(tx, self._context.now(), self._context.batch)
            batch = self._read(tx, due)
            for row in due:
                self._process(batch, row)
            self._finish(batch)
        self._context.emit_all(batch.events)
        return len(due)

    def _read(self, tx: Transaction, due: list[DateRow]) -> _AdvanceBatch:
        due_dates = [row.date for row in due]
        counts_by_date = calendar_days.for_dates(tx, due_dates)
        return _AdvanceBatch(
            tx=tx,
            backfills=backfills.get_many(tx, sorted({row.backfill_id for row in due})),
            checks_by_date=checks.for_dates(tx, due_dates),
            days={date: self._pipeline.seasons.day(date, count) for date, count in counts_by_date.items()},
            upstream=upstream.UpstreamReader(tx, self._context, max(due_dates, default=dt.date.min)),
            held=hold_placement.held_processors(self._pipeline, holds.all_holds(tx)),
            without_calendar=upstream.without_calendar(
                tx, self._context, [r.date for r in due if r.state == PENDING]
            ),
        )

    def _finish(self, batch: _AdvanceBatch) -> None:
        tx, now = batch.tx, self._context.now()
        dates.set_waiting(tx, batch.waits)  # first: later writes may make some of them due again
        again = stale_dates.rewritten(tx, self._pipeline, batch.admitted)
        readmitted = transitions.readmitted(tx, batch.admitted)
        check_resets.reset_for(tx, batch.admitted, self._pipeline.processors, now, again, readmitted)
        stale_dates.clear(tx, self._context, batch.ended)
        dependents = sorted(row.date for row in (*batch.admitted, *batch.unchecked))
        upstream.create_needed_checks(tx, self._context, [batch.days[date] for date in dependents])
        checks.request_check(tx, batch.to_query, now, evaluated=True)
        checks.clear_runnable(tx, batch.not_startable)
        checks.set_runnable(tx, batch.startable)
        upstream.wake_unblocked(tx, self._context, [*batch.waived, *batch.not_owed])
        checks.request_check(
            tx, ratio_references.waiting_pairs(self._pipeline, batch.waived), now, evaluated=True
        )
        for backfill_id in sorted(batch.failed_in):
            self._stop_if_too_many_failed(batch, batch.backfills[backfill_id])

    def _process(self, batch: _AdvanceBatch, row: DateRow) -> None:
        backfill = batch.backfills[row.backfill_id]
        if backfill.cancelled_at is not None:
            self._cancel(batch, row, backfill)
        elif row.state == PENDING:
            self._admit(batch, row, backfill)
        elif row.state not in FINAL:
            self._advance_through_gates(batch, row)

    def _cancel(self, batch: _AdvanceBatch, row: DateRow, backfill: BackfillRow) -> None:
        """Fail a date of a cancelled backfill once none of its attempts is running."""
        date_checks = batch.checks_by_date.get(row.date, {})
        if any(check.attempt_id is not None for check in date_checks.values()):
            batch.waits.append(WaitStatus(row=row, waiting=WaitReason.ATTEMPT))
            return
        walk = _DateWalk(row, row.state, row.entered_at)
        walk.step(Trigger.CANCEL, FAILED, f"backfill {backfill.id} was cancelled")
        self._end(batch, walk, Outcome.CANCELLED, f"backfill {backfill.id} was cancelled")

    def _admit(self, batch: _AdvanceBatch, row: DateRow, backfill: BackfillRow) -> None:
        day = batch.days.get(row.date)
        paused = paused_reason(backfill)
        if paused:
            batch.waits.append(WaitStatus(row=row, waiting=WaitReason.PAUSED, text=paused))
        elif day is None or (day.expected and row.date in batch.without_calendar):
            batch.waits.append(WaitStatus(row=row, waiting=WaitReason.CALENDAR))
        elif not day.expected:
            walk = _DateWalk(row, row.state, row.entered_at)
            walk.step(Trigger.DISMISS, DONE, day.reason)
            # Later dates wait for what it lacked when it still was expected.
            known = batch.checks_by_date.get(row.date, {}).values()
            batch.to_query += [(row.date, check.processor) for check in known if not check.satisfied]
            self._end(batch, walk, Outcome.NOT_EXPECTED, day.reason)
        else:
            first = self._context.machine.step(PENDING, Trigger.ADMIT)
            walk = _DateWalk(row, row.state, self._context.now())
            walk.step(Trigger.ADMIT, first, admission_reason(day))
            batch.admitted.append(row)
            dates.set_season(batch.tx, [(row.date, day.season or "")])
            self._commit(batch, walk, DateStatus(waiting=WaitReason.VERDICT, entered_at=walk.entered_at))

    def _advance_through_gates(self, batch: _AdvanceBatch, row: DateRow) -> None:
        """Pass every satisfied gate, then end the date or record what it waits for."""
        walk = _DateWalk(row, row.state, row.entered_at)
        date_checks = batch.checks_by_date.get(row.date, {})
        stage = self._pipeline.stage[row.state]
        if wait := earlier_states.wait(self._pipeline, stage, date_checks):
            batch.not_startable += [(row.date, c.processor) for c in date_checks.values() if c.runnable]
            self._wait(batch, walk, wait)
            return
        if missing := earlier_states.missing_again(self._pipeline, stage, date_checks):
            reason = f"{missing.processor} is {missing.verdict}: {missing.reason}"
            now = self._context.now()
            walk.step(Trigger.READMIT, PENDING, reason)
            self._commit(batch, walk, DateStatus(waiting=WaitReason.ENGINE, due_at=now, entered_at=now))
            return
        while walk.state not in FINAL:
            stage = self._pipeline.stage[walk.state]
            decision = self._decide(batch, walk, stage, date_checks)
            batch.events.append(GateEvaluated(phase=stage.phase.name, result=type(decision).__name__.lower()))
            if isinstance(decision, Advance):
                self._advance(batch, walk, stage, date_checks, decision)
                continue
            batch.not_startable += [(row.date, c.processor) for c in date_checks.values() if c.runnable]
            if isinstance(decision, Fail):
                walk.step(Trigger.FAIL, FAILED, decision.reason)
                batch.failed_in.add(row.backfill_id)
                self._end(batch, walk, decision.outcome, decision.reason)
            else:
                self._wait(batch, walk, decision)
            return
        self._end(batch, walk, *self._outcome(batch, walk))

    def _decide(
        self, batch: _AdvanceBatch, walk: _DateWalk, stage: Stage, date_checks: Mapping[str, CheckRow]
    ) -> Decision:
        """The decision of the gate. Earlier dates are read only where it would open or a job would start."""
        backfill = batch.backfills[walk.row.backfill_id]
        context = GateContext(
            now=self._context.now(),
            entered_at=walk.entered_at,
            sources=backfill.sources,
            first_phase=stage.phase is self._pipeline.phase[0],
            paused=paused_reason(backfill),
            held=batch.held,
        )
        decision = decide(stage, date_checks, context)
        if not isinstance(decision, Advance | Start):
            return decision
        day = batch.days[walk.row.date]
        following = self._pipeline.stages[self._context.machine.after(stage, day) :][:1]
        missing = batch.upstream.missing_texts(stage, day, date_checks)
        entry = batch.upstream.entry_text(following, day, date_checks)
        if missing or entry:
            batch.unchecked.append(walk.row)
            return decide(stage, date_checks, replace(context, missing_upstream=missing, blocks_entry=entry))
        processors = [p for other in (stage, *following) for p in other.processors]
        unknown = batch.upstream.without_calendar(processors, day.date)
        return Wait(waiting=WaitReason.CALENDAR) if unknown else decision

    def _advance(
        self,
        batch: _AdvanceBatch,
        walk: _DateWalk,
        stage: Stage,
        date_checks: Mapping[str, CheckRow],
        decision: Advance,
    ) -> None:
        names = [p.name for p in stage.processors]
        obsolete = [n for n in names if date_checks[n].waived_by and n not in decision.waivers]
        checks.clear_waivers(batch.tx, [(walk.row.date, name) for name in obsolete])
        not_owed = [
            (walk.row.date, n) for n in names if not (date_checks[n].satisfied or n in decision.waivers)
        ]
        checks.set_satisfied(batch.tx, not_owed)
        batch.not_owed += not_owed
        for processor, waiver in decision.waivers.items():
            checks.waive(batch.tx, walk.row.date, processor, by=waiver.by, reason=waiver.reason)
            batch.waived.append((walk.row.date, processor))
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

    def _outcome(self, batch: _AdvanceBatch, walk: _DateWalk) -> tuple[Outcome, str]:
        """The outcome of a date that has passed its last gate, and the reason."""
        date_checks = checks.for_dates(batch.tx, [walk.row.date])[walk.row.date]
        waivers = [check for check in date_checks.values() if check.waived_by]
        reasons = "; ".join(f"{c.processor}: {c.waiver_reason}" for c in waivers)
        if any(c.waived_by != WaivedBy.FALLBACK for c in waivers):
            return Outcome.WAIVED, reasons
        day = batch.days[walk.row.date]
        if not day.expected:  # since its admission: by a changed pipeline file, or a changed calendar
            return Outcome.NOT_EXPECTED, day.reason
        if walk.transitions[-1].trigger is Trigger.BYPASS:
            return Outcome.BOOTSTRAP, f"day {day.season_day} of {day.season} is a bootstrap day" + (
                f"; {reasons}" if reasons else ""
            )
        return Outcome.COMPLETE, reasons

    def _wait(self, batch: _AdvanceBatch, walk: _DateWalk, decision: Start | Wait) -> None:
        wait = decision.wait if isinstance(decision, Start) else decision
        date = walk.row.date
        self._waive_references(batch, walk, wait)
        if isinstance(decision, Start):
            batch.startable += [(date, name) for name in decision.processors]
        batch.to_query += [(date, name) for name in wait.ask]
        status = DateStatus(
            waiting=wait.waiting, waiting_text=wait.text, due_at=wait.until, entered_at=walk.entered_at
        )
        if walk.transitions:
            self._commit(batch, walk, status)
        else:
            waiting = WaitStatus(row=walk.row, waiting=wait.waiting, text=wait.text, due_at=wait.until)
            batch.waits.append(waiting)

    def _waive_references(self, batch: _AdvanceBatch, walk: _DateWalk, wait: Wait) -> None:
        """Record the waivers of references before the gate opens: what is compared with them waits for it."""
        names = {p.name for p in self._pipeline.stage[walk.state].processors}
        date_checks = batch.checks_by_date.get(walk.row.date, {})
        for name, waiver in wait.waivers.items():
            new = date_checks[name].waiver_reason != waiver.reason
            if new and names.intersection(ratio_references.compared_with(self._pipeline, name)):
                checks.waive(batch.tx, walk.row.date, name, by=waiver.by, reason=waiver.reason)
                batch.waived.append((walk.row.date, name))

    def _end(self, batch: _AdvanceBatch, walk: _DateWalk, outcome: Outcome, reason: str) -> None:
        now = self._context.now()
        status = DateStatus(outcome=outcome, reason=reason, entered_at=walk.entered_at, ended_at=now)
        self._commit(batch, walk, status)
        if walk.state == DONE:
            batch.ended.append(walk.row)

    def _commit(self, batch: _AdvanceBatch, walk: _DateWalk, status: DateStatus) -> None:
        transitions.move(batch.tx, walk.row, walk.transitions, status, actor=ACTOR, now=self._context.now())
        source = walk.row.state
        for transition in walk.transitions:
            batch.events.append(
                DateMoved(
                    date=walk.row.date,
                    source=source,
                    target=transition.target,
                    trigger=transition.trigger,
                    reason=transition.reason,
                    actor=ACTOR,
                )
            )
            source = transition.target

    def _stop_if_too_many_failed(self, batch: _AdvanceBatch, backfill: BackfillRow) -> None:
        if backfill.max_failures is None or backfill.stopped_at is not None:
            return
        failed = backfills.failed_dates(batch.tx, backfill.id) - backfill.failures_baseline
        if failed < backfill.max_failures:
            return
        reason = f"{pluralize(failed, 'date')} failed, max_failures is {backfill.max_failures}"
        now = self._context.now()
        backfills.change(batch.tx, backfill.id, {"stopped_at": now, "stop_reason": reason})
        checks.clear_runnable_of(batch.tx, backfill.id)
        dates.make_backfill_due(batch.tx, backfill.id, now)
        batch.events.append(Incident(kind="stopped", text=f"backfill {backfill.id} is stopped: {reason}"))
