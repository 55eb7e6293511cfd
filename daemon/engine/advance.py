"""Dates move: admitted, advanced through satisfied gates, failed, cancelled. One pass over those due."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from backfilld.daemon.engine import cascade, lookback, processor_holds
from backfilld.daemon.engine.context import ACTOR, EngineContext
from backfilld.daemon.events import DateMoved, Event, GateEvaluated, Incident
from backfilld.state.formatting import pluralize
from backfilld.state.pipeline.models import DONE, FAILED, PENDING, Stage
from backfilld.state.records import BackfillRow, CheckRow, DateRow
from backfilld.state.rules.calendar import Day
from backfilld.state.rules.gates import Advance, Fail, GateContext, Start, Wait, WaitReason, WaivedBy, decide
from backfilld.state.rules.machine import FINAL, Outcome, Trigger
from backfilld.state.store import backfills, calendar_days, checks, dates, holds, transitions
from backfilld.state.store.database import Transaction
from backfilld.state.store.dates import WaitStatus
from backfilld.state.store.transitions import DateStatus, Transition


@dataclass(slots=True)
class _AdvanceBatch:
    """What one pass has read, and what it gathers to be done at its end."""

    tx: Transaction
    backfills: Mapping[int, BackfillRow]
    known: Mapping[dt.date, Mapping[str, CheckRow]]
    days: Mapping[dt.date, Day]
    held: Mapping[str, str]
    uncharted: Collection[dt.date]
    admitted: list[DateRow] = field(default_factory=list)
    parked: list[WaitStatus] = field(default_factory=list)
    ask: list[checks.Pair] = field(default_factory=list)
    may_start: list[checks.Pair] = field(default_factory=list)
    may_not_start: list[checks.Pair] = field(default_factory=list)
    passed: list[checks.Pair] = field(default_factory=list)
    ended: list[DateRow] = field(default_factory=list)
    failed_in: set[int] = field(default_factory=set)
    events: list[Event] = field(default_factory=list)


@dataclass(slots=True)
class _DateWalk:
    """One date on its way: the moves it has made in this pass, and where it stands."""

    row: DateRow
    state: str
    entered_at: float
    moves: list[Transition] = field(default_factory=list)

    def go(self, trigger: Trigger, target: str, reason: str = "") -> None:
        self.moves.append(Transition(trigger=trigger, target=target, reason=reason))
        self.state = target


class Advancer:
    """The duty that moves dates."""

    def __init__(self, context: EngineContext) -> None:
        self._context = context
        self._pipeline = context.pipeline

    def run(self) -> int:
        """Look at the dates that are due, oldest first; how many there were (at most a batch)."""
        with self._context.db.write() as tx:
            due = dates.due(tx, self._context.now(), self._context.batch)
            work = self._read(tx, due)
            for row in due:
                self._look_at(work, row)
            self._finish(work)
        self._context.emit_all(work.events)
        return len(due)

    def _read(self, tx: Transaction, due: list[DateRow]) -> _AdvanceBatch:
        wanted = [row.date for row in due]
        games = calendar_days.for_dates(tx, wanted)
        return _AdvanceBatch(
            tx=tx,
            backfills=backfills.get_many(tx, sorted({row.backfill_id for row in due})),
            known=checks.for_dates(tx, wanted),
            days={date: self._pipeline.seasons.day(date, count) for date, count in games.items()},
            held=processor_holds.held_processors(self._pipeline, holds.all_holds(tx)),
            uncharted=lookback.without_calendar(
                tx, self._context, [r.date for r in due if r.state == PENDING]
            ),
        )

    def _finish(self, work: _AdvanceBatch) -> None:
        tx, now = work.tx, self._context.now()
        dates.set_waiting(tx, work.parked)  # first: what follows may wake some of them
        sequential = cascade.sequential(self._pipeline)
        again = transitions.readmitted(tx, work.admitted)
        checks.reset_for(tx, work.admitted, self._pipeline.processors, now, sequential, again)
        cascade.clear(tx, self._context, work.ended)
        lookback.create_lookback_checks(tx, self._context, [work.days[row.date] for row in work.admitted])
        checks.request_check(tx, work.ask, now, evaluated=True)
        checks.clear_runnable(tx, work.may_not_start)
        checks.set_runnable(tx, work.may_start)
        lookback.wake_unblocked(tx, self._context, work.passed)
        for number in sorted(work.failed_in):
            self._stop_if_too_many_failed(work, work.backfills[number])

    def _look_at(self, work: _AdvanceBatch, row: DateRow) -> None:
        backfill = work.backfills[row.backfill_id]
        if backfill.cancelled_at is not None:
            self._cancel(work, row, backfill)
        elif row.state == PENDING:
            self._admit(work, row, backfill)
        elif row.state not in FINAL:
            self._walk(work, row, backfill)

    def _cancel(self, work: _AdvanceBatch, row: DateRow, backfill: BackfillRow) -> None:
        """Fail a date of a cancelled backfill, once nothing of it runs any more."""
        own = work.known.get(row.date, {})
        if any(check.attempt_id is not None for check in own.values()):
            work.parked.append(WaitStatus(row=row, waiting=WaitReason.ATTEMPT))
            return
        walk = _DateWalk(row, row.state, row.entered_at)
        walk.go(Trigger.CANCEL, FAILED, f"backfill {backfill.id} was cancelled")
        self._end(work, walk, Outcome.CANCELLED, f"backfill {backfill.id} was cancelled")

    def _admit(self, work: _AdvanceBatch, row: DateRow, backfill: BackfillRow) -> None:
        day = work.days.get(row.date)
        paused = _paused(backfill)
        if paused:
            work.parked.append(WaitStatus(row=row, waiting=WaitReason.PAUSED, text=paused))
        elif day is None or (day.expected and row.date in work.uncharted):
            work.parked.append(WaitStatus(row=row, waiting=WaitReason.CALENDAR))
        elif not day.expected:
            walk = _DateWalk(row, row.state, row.entered_at)
            walk.go(Trigger.DISMISS, DONE, day.reason)
            self._end(work, walk, Outcome.NOT_EXPECTED, day.reason)
        else:
            first = self._context.machine.step(PENDING, Trigger.ADMIT)
            walk = _DateWalk(row, row.state, self._context.now())
            walk.go(Trigger.ADMIT, first, _expects(day))
            work.admitted.append(row)
            dates.set_season(work.tx, [(row.date, day.season or "")])
            self._commit(work, walk, DateStatus(waiting=WaitReason.VERDICT, entered_at=walk.entered_at))

    def _walk(self, work: _AdvanceBatch, row: DateRow, backfill: BackfillRow) -> None:
        """Go through satisfied gates as far as they lead."""
        walk = _DateWalk(row, row.state, row.entered_at)
        own = work.known.get(row.date, {})
        if self._is_at_work_elsewhere(row, own):
            work.parked.append(WaitStatus(row=row, waiting=WaitReason.ATTEMPT))
            return
        while walk.state not in FINAL:
            stage = self._pipeline.stage[walk.state]
            decision = decide(stage, own, self._facts(work, walk, stage, backfill))
            work.events.append(GateEvaluated(phase=stage.phase.name, result=type(decision).__name__.lower()))
            if isinstance(decision, Advance):
                self._advance(work, walk, stage, own, decision)
                continue
            work.may_not_start += [(row.date, c.processor) for c in own.values() if c.runnable]
            if isinstance(decision, Fail):
                walk.go(Trigger.FAIL, FAILED, decision.reason)
                work.failed_in.add(row.backfill_id)
                self._end(work, walk, decision.outcome, decision.reason)
            else:
                self._rest(work, walk, decision)
            return
        self._end(work, walk, *self._outcome(work, walk))

    def _is_at_work_elsewhere(self, row: DateRow, own: Mapping[str, CheckRow]) -> bool:
        """Whether an attempt runs that is not of the date's state: the pipeline file changed under it."""
        here = {p.name for p in self._pipeline.stage[row.state].processors}
        return any(check.attempt_id is not None and check.processor not in here for check in own.values())

    def _facts(
        self, work: _AdvanceBatch, walk: _DateWalk, stage: Stage, backfill: BackfillRow
    ) -> GateContext:
        window = lookback.window(self._pipeline, self._context.machine, stage, work.days[walk.row.date])
        found = lookback.missing_upstream(work.tx, window) if window else None
        return GateContext(
            now=self._context.now(),
            entered_at=walk.entered_at,
            sources=backfill.sources,
            first_phase=stage.phase is self._pipeline.phase[0],
            paused=_paused(backfill),
            held=work.held,
            missing_upstream=f"{found[0]} in {window.phase.name}" if window and found else "",
        )

    def _advance(
        self,
        work: _AdvanceBatch,
        walk: _DateWalk,
        stage: Stage,
        own: Mapping[str, CheckRow],
        decision: Advance,
    ) -> None:
        for processor, waiver in decision.waivers.items():
            checks.waive(work.tx, walk.row.date, processor, by=waiver.by, reason=waiver.reason)
            work.passed.append((walk.row.date, processor))
        bypasses = self._context.machine.after(stage, work.days[walk.row.date]) != stage.index + 1
        trigger = Trigger.BYPASS if bypasses else Trigger.ADVANCE
        asked = [own[p.name].asked_at for p in stage.processors]
        # The question that opened this gate also asked about the next state: that is validation on entry.
        walk.entered_at = max([walk.entered_at, *(at for at in asked if at is not None)])
        walk.go(trigger, self._context.machine.step(walk.state, trigger), _passing(stage, decision, own))

    def _outcome(self, work: _AdvanceBatch, walk: _DateWalk) -> tuple[Outcome, str]:
        """How a date that came to the end is done."""
        own = checks.for_dates(work.tx, [walk.row.date])[walk.row.date]
        waivers = [check for check in own.values() if check.waived_by]
        told = "; ".join(f"{c.processor}: {c.waiver_reason}" for c in waivers)
        if any(c.waived_by != WaivedBy.FALLBACK for c in waivers):
            return Outcome.WAIVED, told
        if walk.moves[-1].trigger is Trigger.BYPASS:
            day = work.days[walk.row.date]
            return Outcome.BOOTSTRAP, f"day {day.season_day} of {day.season} is a bootstrap day" + (
                f"; {told}" if told else ""
            )
        return Outcome.COMPLETE, told

    def _rest(self, work: _AdvanceBatch, walk: _DateWalk, decision: Start | Wait) -> None:
        wait = decision.wait if isinstance(decision, Start) else decision
        date = walk.row.date
        if isinstance(decision, Start):
            work.may_start += [(date, name) for name in decision.processors]
        work.ask += [(date, name) for name in wait.ask]
        standing = DateStatus(
            waiting=wait.waiting, waiting_text=wait.text, due_at=wait.until, entered_at=walk.entered_at
        )
        if walk.moves:
            self._commit(work, walk, standing)
        else:
            parked = WaitStatus(row=walk.row, waiting=wait.waiting, text=wait.text, due_at=wait.until)
            work.parked.append(parked)

    def _end(self, work: _AdvanceBatch, walk: _DateWalk, outcome: Outcome, reason: str) -> None:
        now = self._context.now()
        standing = DateStatus(outcome=outcome, reason=reason, entered_at=walk.entered_at, ended_at=now)
        self._commit(work, walk, standing)
        if walk.state == DONE:
            work.ended.append(walk.row)

    def _commit(self, work: _AdvanceBatch, walk: _DateWalk, standing: DateStatus) -> None:
        transitions.move(work.tx, walk.row, walk.moves, standing, actor=ACTOR, now=self._context.now())
        source = walk.row.state
        for step in walk.moves:
            work.events.append(
                DateMoved(
                    date=walk.row.date,
                    source=source,
                    target=step.target,
                    trigger=step.trigger,
                    reason=step.reason,
                    actor=ACTOR,
                )
            )
            source = step.target

    def _stop_if_too_many_failed(self, work: _AdvanceBatch, backfill: BackfillRow) -> None:
        if backfill.max_failures is None or backfill.stopped_at is not None:
            return
        failed = backfills.failed_dates(work.tx, backfill.id) - backfill.failures_baseline
        if failed < backfill.max_failures:
            return
        reason = f"{pluralize(failed, 'date')} failed, max_failures is {backfill.max_failures}"
        now = self._context.now()
        backfills.change(work.tx, backfill.id, {"stopped_at": now, "stop_reason": reason})
        checks.clear_runnable_of(work.tx, backfill.id)
        dates.make_backfill_due(work.tx, backfill.id, now)
        work.events.append(Incident(kind="stopped", text=f"backfill {backfill.id} is stopped: {reason}"))


def _paused(backfill: BackfillRow) -> str:
    if backfill.stopped_at is not None:
        return f"backfill {backfill.id} is stopped: {backfill.stop_reason}"
    return f"backfill {backfill.id} is paused" if backfill.paused_at is not None else ""


def _expects(day: Day) -> str:
    season = f", day {day.season_day} of {day.season}" if day.season else ""
    return f"{day.games} games{season}" if day.games is not None else f"expected{season}"


def _passing(stage: Stage, decision: Advance, own: Mapping[str, CheckRow]) -> str:
    """Why a gate opened, with the figures."""
    told = []
    for processor in stage.processors:
        check, waiver = own[processor.name], decision.waivers.get(processor.name)
        if waiver:
            told.append(f"{processor.name} {waiver.reason}")
        elif check.rows is not None:
            told.append(f"{processor.name} {check.rows} rows")
        else:
            told.append(f"{processor.name} {check.verdict}")
    return ", ".join(told)
