"""The engine: its duties, one pass each, in the order that lets one pass finish what it can."""

from __future__ import annotations

from collections.abc import Mapping

from backfilld import __version__
from backfilld.daemon.clock_steps import STEP_SECONDS, ClockStepDetector
from backfilld.daemon.engine import lookback
from backfilld.daemon.engine.advance import Advancer
from backfilld.daemon.engine.attempt_monitor import AttemptMonitor
from backfilld.daemon.engine.context import ACTOR, EngineContext
from backfilld.daemon.engine.launch import Launcher
from backfilld.daemon.engine.requeue import requeued_event
from backfilld.daemon.engine.sweep import Sweeper
from backfilld.daemon.engine.validate import Validator
from backfilld.daemon.events import Incident
from backfilld.daemon.executors.adapter import Executor
from backfilld.daemon.warehouses.adapter import Warehouse
from backfilld.state.pipeline.models import PENDING
from backfilld.state.records import DateRow
from backfilld.state.rules.gates import WaitReason
from backfilld.state.rules.machine import Trigger
from backfilld.state.store import (
    attempts,
    checks,
    clock_skew,
    dates,
    holds,
    pipeline_versions,
    transitions,
    work,
)
from backfilld.state.store.database import Transaction
from backfilld.state.store.transitions import DateStatus, Transition


class Engine:
    """Moves dates by calling its duties. Whoever calls decides when; nothing here waits or loops for ever."""

    def __init__(
        self, context: EngineContext, warehouse: Warehouse, executors: Mapping[str, Executor]
    ) -> None:
        self.context = context
        self._clock_steps = ClockStepDetector(context.now, context.steady or context.now)
        self.reaper = AttemptMonitor(context, executors)
        self.advancer = Advancer(context)
        self.launcher = Launcher(context, executors, self.reaper.cannot_start)
        self.validator = Validator(context, warehouse)
        self.sweeper = Sweeper(context, self.validator)

    def recover(self) -> None:
        """At start: take up running attempts, and all dates if the pipeline file has changed."""
        self._follow_clock_back()
        self._follow_pipeline()
        self.reaper.recover()

    def tick(self) -> bool:
        """Reap, lift what is over, advance, launch. True when something moved, so another turn may follow."""
        if leap := self._clock_steps.look():
            self.reaper.restart_limits()
            self._follow_clock_back(-leap)
        with self.context.db.read() as tx:
            todo = work.due_transitions(tx, self.context.now())
        ended = self.reaper.run()  # also with none running: what another leader closed may live on here
        if todo.over:
            self._lift_expired_holds()
        looked_at = self.advancer.run() if ended or todo.over or todo.due else 0
        started = self.launcher.run() if looked_at or todo.runnable else 0
        return bool(leap or ended or looked_at or started)

    def supervise_standby(self) -> None:
        """In place of a turn, while another daemon leads: look after the jobs that run here."""
        if self._clock_steps.look():
            self.reaper.restart_limits()
        self.reaper.guard()

    def validate(self) -> bool:
        """Ask the warehouse what is due. True when something was learnt."""
        return bool(self.validator.run())

    def next_wakeup(self) -> float | None:
        """When a retry, a later question or the end of a hold is due; None when only an event can matter.

        A question that is due already needs no alarm: whoever asks is at it, or held back.
        """
        with self.context.db.read() as tx:
            return work.next_wakeup(tx, self.context.now())

    def has_due_query(self) -> bool:
        """Whether a question is due and may be asked, or the end of the hold on all of them has come."""
        now = self.context.now()
        with self.context.db.read() as tx:
            todo = work.due_queries(tx, now)
            return not holds.in_force(tx, holds.WAREHOUSE, now) if todo.held else todo.wanted

    def has_running_attempts(self) -> bool:
        """Whether jobs run, whose time limits have to be looked at."""
        with self.context.db.read() as tx:
            return bool(attempts.running(tx))

    def recheck_missing_upstream(self) -> None:
        """Ask again about the earliest holes that somebody waits for and no live date will fill."""
        with self.context.db.read() as tx:
            found = lookback.orphaned_missing(tx, self.context)
        if found:
            with self.context.db.write() as tx:
                checks.request_check(tx, found, self.context.now())

    def _lift_expired_holds(self) -> None:
        now = self.context.now()
        with self.context.db.write() as tx:
            for hold in holds.release_expired(tx, now):
                if hold.kind in ("processor", "table"):
                    dates.make_waiting_due(tx, WaitReason.HELD, now)

    def _follow_clock_back(self, seconds: float = 0.0) -> None:
        """Plan anew what would come late by as many seconds as the clock was set back, or by what shows."""
        now = self.context.now()
        with self.context.db.read() as tx:
            ahead = max(seconds, clock_skew.skew_seconds(tx, now))
        if ahead > STEP_SECONDS:
            with self.context.db.write() as tx:
                clock_skew.shift_back(tx, now, ahead)
            text = f"the clock is {ahead:.0f} s behind what was noted; what is planned comes so much sooner"
            self.context.emit(Incident(kind="clock", text=text))

    def _follow_pipeline(self) -> None:
        """Look at all live dates by a pipeline file that has changed; those out of place start again.

        By the same file there is nothing to look at: what each date waits for is in the database.
        """
        now = self.context.now()
        with self.context.db.write() as tx:
            if not pipeline_versions.record(tx, f"{__version__} {self.context.pipeline.fingerprint}"):
                return
            checks.clear_all_runnable(tx)
            dates.make_due(tx, now)
            lost = self._out_of_place(tx)
            for row, reason in lost:
                step = Transition(trigger=Trigger.READMIT, target=PENDING, reason=reason)
                standing = DateStatus(waiting=WaitReason.ENGINE, due_at=now, entered_at=now)
                transitions.move(tx, row, [step], standing, actor=ACTOR, now=now)
        for row, reason in lost:
            self.context.emit(requeued_event(row, Trigger.READMIT, actor=ACTOR, reason=reason))

    def _out_of_place(self, tx: Transaction) -> list[tuple[DateRow, str]]:
        """Dates that are not where the pipeline file, as it is now, would have brought them, and why."""
        unknown = dates.in_unknown_states(tx, self.context.machine.states)
        found = [(row, f"the pipeline file no longer has the state {row.state}") for row in unknown]
        before: list[str] = []
        for stage in self.context.pipeline.stages:
            skipped = dates.out_of_place(tx, stage.name, before, self.context.pipeline.processors)
            reason = f"by the pipeline file as it is now, something lacks before or after {stage.name}"
            found += [(row, reason) for row in skipped]
            before += [p.name for p in stage.processors]
        return found
