"""Dates move: admitted, advanced through satisfied gates, failed, cancelled. One pass over those due."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from daemon.core import ACTOR, Core
from daemon.decide import Advance, Facts, Fail, PassedBy, Run, Wait, Waiting, decide
from daemon.engine import cascade, holding, lookback
from daemon.events import Event, GateEvaluated, Moved, Trouble
from daemon.plain import counted
from state.calendar import Day
from state.machine import FINAL, Outcome, Trigger
from state.pipeline import DONE, FAILED, PENDING, Stage
from state.records import BackfillRow, CheckRow, DateRow
from state.store import backfills, checks, dates, days, holds
from state.store.database import Transaction
from state.store.dates import Move, Parked, Standing


@dataclass(slots=True)
class _Pass:
    """What one pass has read, and what it gathers to be done at its end."""

    tx: Transaction
    backfills: Mapping[int, BackfillRow]
    known: Mapping[dt.date, Mapping[str, CheckRow]]
    days: Mapping[dt.date, Day]
    held: Mapping[str, str]
    uncharted: Collection[dt.date]
    admitted: list[DateRow] = field(default_factory=list)
    parked: list[Parked] = field(default_factory=list)
    ask: list[checks.Pair] = field(default_factory=list)
    may_start: list[checks.Pair] = field(default_factory=list)
    may_not_start: list[checks.Pair] = field(default_factory=list)
    passed: list[checks.Pair] = field(default_factory=list)
    ended: list[DateRow] = field(default_factory=list)
    failed_in: set[int] = field(default_factory=set)
    events: list[Event] = field(default_factory=list)


@dataclass(slots=True)
class _Journey:
    """One date on its way: the moves it has made in this pass, and where it stands."""

    row: DateRow
    state: str
    entered_at: float
    moves: list[Move] = field(default_factory=list)

    def go(self, trigger: Trigger, target: str, reason: str = "") -> None:
        self.moves.append(Move(trigger=trigger, target=target, reason=reason))
        self.state = target


class Advancer:
    """The duty that moves dates."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._pipeline = core.pipeline

    def run(self) -> int:
        """Look at the dates that are due, oldest first; how many there were (at most a batch)."""
        with self._core.db.write() as tx:
            due = dates.due(tx, self._core.now(), self._core.batch)
            work = self._read(tx, due)
            for row in due:
                self._look_at(work, row)
            self._finish(work)
        self._core.tell_all(work.events)
        return len(due)

    def _read(self, tx: Transaction, due: list[DateRow]) -> _Pass:
        wanted = [row.date for row in due]
        games = days.known_among(tx, wanted)
        return _Pass(
            tx=tx,
            backfills=backfills.some(tx, sorted({row.backfill_id for row in due})),
            known=checks.of_dates(tx, wanted),
            days={date: self._pipeline.seasons.day(date, count) for date, count in games.items()},
            held=holding.held(self._pipeline, holds.everything(tx)),
            uncharted=lookback.uncharted(tx, self._core, [r.date for r in due if r.state == PENDING]),
        )

    def _finish(self, work: _Pass) -> None:
        tx, now = work.tx, self._core.now()
        dates.park(tx, work.parked)  # first: what follows may wake some of them
        sequential = cascade.sequential(self._pipeline)
        again = dates.readmitted(tx, work.admitted)
        checks.open_for(tx, work.admitted, self._pipeline.processors, now, sequential, again)
        cascade.settle(tx, self._core, work.ended)
        lookback.open_witnesses(tx, self._core, [work.days[row.date] for row in work.admitted])
        checks.want(tx, work.ask, now)
        checks.clear_runnable(tx, work.may_not_start)
        checks.set_runnable(tx, work.may_start)
        lookback.unblock(tx, self._core, work.passed)
        for number in sorted(work.failed_in):
            self._stop_if_too_many_failed(work, work.backfills[number])

    def _look_at(self, work: _Pass, row: DateRow) -> None:
        backfill = work.backfills[row.backfill_id]
        if backfill.cancelled_at is not None:
            self._cancel(work, row, backfill)
        elif row.state == PENDING:
            self._admit(work, row, backfill)
        elif row.state not in FINAL:
            self._walk(work, row, backfill)

    def _cancel(self, work: _Pass, row: DateRow, backfill: BackfillRow) -> None:
        """Fail a date of a cancelled backfill, once nothing of it runs any more."""
        own = work.known.get(row.date, {})
        if any(check.attempt_id is not None for check in own.values()):
            work.parked.append(Parked(row=row, waiting=Waiting.ATTEMPT))
            return
        journey = _Journey(row, row.state, row.entered_at)
        journey.go(Trigger.CANCEL, FAILED, f"backfill {backfill.id} was cancelled")
        self._end(work, journey, Outcome.CANCELLED, f"backfill {backfill.id} was cancelled")

    def _admit(self, work: _Pass, row: DateRow, backfill: BackfillRow) -> None:
        day = work.days.get(row.date)
        paused = _paused(backfill)
        if paused:
            work.parked.append(Parked(row=row, waiting=Waiting.PAUSED, text=paused))
        elif day is None or (day.expected and row.date in work.uncharted):
            work.parked.append(Parked(row=row, waiting=Waiting.CALENDAR))
        elif not day.expected:
            journey = _Journey(row, row.state, row.entered_at)
            journey.go(Trigger.DISMISS, DONE, day.reason)
            self._end(work, journey, Outcome.NOT_EXPECTED, day.reason)
        else:
            first = self._core.machine.step(PENDING, Trigger.ADMIT)
            journey = _Journey(row, row.state, self._core.now())
            journey.go(Trigger.ADMIT, first, _expects(day))
            work.admitted.append(row)
            dates.set_season(work.tx, [(row.date, day.season or "")])
            self._commit(work, journey, Standing(waiting=Waiting.VERDICT, entered_at=journey.entered_at))

    def _walk(self, work: _Pass, row: DateRow, backfill: BackfillRow) -> None:
        """Go through satisfied gates as far as they lead."""
        journey = _Journey(row, row.state, row.entered_at)
        own = work.known.get(row.date, {})
        if self._is_at_work_elsewhere(row, own):
            work.parked.append(Parked(row=row, waiting=Waiting.ATTEMPT))
            return
        while journey.state not in FINAL:
            stage = self._pipeline.stage[journey.state]
            decision = decide(stage, own, self._facts(work, journey, stage, backfill))
            work.events.append(GateEvaluated(phase=stage.phase.name, result=type(decision).__name__.lower()))
            if isinstance(decision, Advance):
                self._advance(work, journey, stage, own, decision)
                continue
            work.may_not_start += [(row.date, c.processor) for c in own.values() if c.runnable]
            if isinstance(decision, Fail):
                journey.go(Trigger.FAIL, FAILED, decision.reason)
                work.failed_in.add(row.backfill_id)
                self._end(work, journey, decision.outcome, decision.reason)
            else:
                self._rest(work, journey, decision)
            return
        self._end(work, journey, *self._outcome(work, journey))

    def _is_at_work_elsewhere(self, row: DateRow, own: Mapping[str, CheckRow]) -> bool:
        """Whether an attempt runs that is not of the date's state: the pipeline file changed under it."""
        here = {p.name for p in self._pipeline.stage[row.state].processors}
        return any(check.attempt_id is not None and check.processor not in here for check in own.values())

    def _facts(self, work: _Pass, journey: _Journey, stage: Stage, backfill: BackfillRow) -> Facts:
        window = lookback.window(self._pipeline, self._core.machine, stage, work.days[journey.row.date])
        found = lookback.hole(work.tx, window) if window else None
        return Facts(
            now=self._core.now(),
            entered_at=journey.entered_at,
            scrapers=backfill.scrapers,
            first_phase=stage.phase is self._pipeline.phase[0],
            paused=_paused(backfill),
            held=work.held,
            hole=f"{found[0]} in {window.phase.name}" if window and found else "",
        )

    def _advance(
        self, work: _Pass, journey: _Journey, stage: Stage, own: Mapping[str, CheckRow], decision: Advance
    ) -> None:
        for processor, gap in decision.gaps.items():
            checks.pass_over(work.tx, journey.row.date, processor, by=gap.by, reason=gap.reason)
            work.passed.append((journey.row.date, processor))
        bypasses = self._core.machine.after(stage, work.days[journey.row.date]) != stage.index + 1
        trigger = Trigger.BYPASS if bypasses else Trigger.ADVANCE
        asked = [own[p.name].asked_at for p in stage.processors]
        # The question that opened this gate also asked about the next state: that is validation on entry.
        journey.entered_at = max([journey.entered_at, *(at for at in asked if at is not None)])
        journey.go(trigger, self._core.machine.step(journey.state, trigger), _passing(stage, decision, own))

    def _outcome(self, work: _Pass, journey: _Journey) -> tuple[Outcome, str]:
        """How a date that came to the end is done."""
        own = checks.of_dates(work.tx, [journey.row.date])[journey.row.date]
        gaps = [check for check in own.values() if check.passed_by]
        told = "; ".join(f"{c.processor}: {c.gap}" for c in gaps)
        if any(c.passed_by != PassedBy.FALLBACK for c in gaps):
            return Outcome.ACCEPTED, told
        if journey.moves[-1].trigger is Trigger.BYPASS:
            day = work.days[journey.row.date]
            return Outcome.BOOTSTRAP, f"day {day.season_day} of {day.season} is a bootstrap day" + (
                f"; {told}" if told else ""
            )
        return Outcome.COMPLETE, told

    def _rest(self, work: _Pass, journey: _Journey, decision: Run | Wait) -> None:
        wait = decision.wait if isinstance(decision, Run) else decision
        date = journey.row.date
        if isinstance(decision, Run):
            work.may_start += [(date, name) for name in decision.processors]
        work.ask += [(date, name) for name in wait.ask]
        standing = Standing(
            waiting=wait.waiting, waiting_text=wait.text, due_at=wait.until, entered_at=journey.entered_at
        )
        if journey.moves:
            self._commit(work, journey, standing)
        else:
            parked = Parked(row=journey.row, waiting=wait.waiting, text=wait.text, due_at=wait.until)
            work.parked.append(parked)

    def _end(self, work: _Pass, journey: _Journey, outcome: Outcome, reason: str) -> None:
        now = self._core.now()
        standing = Standing(outcome=outcome, reason=reason, entered_at=journey.entered_at, ended_at=now)
        self._commit(work, journey, standing)
        if journey.state == DONE:
            work.ended.append(journey.row)

    def _commit(self, work: _Pass, journey: _Journey, standing: Standing) -> None:
        dates.move(work.tx, journey.row, journey.moves, standing, actor=ACTOR, now=self._core.now())
        source = journey.row.state
        for step in journey.moves:
            work.events.append(
                Moved(
                    date=journey.row.date,
                    source=source,
                    target=step.target,
                    trigger=step.trigger,
                    reason=step.reason,
                    actor=ACTOR,
                )
            )
            source = step.target

    def _stop_if_too_many_failed(self, work: _Pass, backfill: BackfillRow) -> None:
        if backfill.max_failures is None or backfill.stopped_at is not None:
            return
        failed = backfills.failed_dates(work.tx, backfill.id) - backfill.forgiven
        if failed < backfill.max_failures:
            return
        reason = f"{counted(failed, 'date')} failed, max_failures is {backfill.max_failures}"
        now = self._core.now()
        backfills.change(work.tx, backfill.id, {"stopped_at": now, "stop_reason": reason})
        checks.clear_runnable_of(work.tx, backfill.id)
        dates.wake_backfill(work.tx, backfill.id, now)
        work.events.append(Trouble(kind="stopped", text=f"backfill {backfill.id} is stopped: {reason}"))


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
        check, gap = own[processor.name], decision.gaps.get(processor.name)
        if gap:
            told.append(f"{processor.name} {gap.reason}")
        elif check.rows is not None:
            told.append(f"{processor.name} {check.rows} rows")
        else:
            told.append(f"{processor.name} {check.verdict}")
    return ", ".join(told)
