"""The engine: its duties, one pass each, in the order that lets one pass finish what it can."""

from __future__ import annotations

from collections.abc import Mapping

from daemon.clock import LEAP_SECONDS, Leaps
from daemon.core import ACTOR, Core
from daemon.decide import Waiting
from daemon.engine import lookback
from daemon.engine.advance import Advancer
from daemon.engine.launch import Launcher
from daemon.engine.reap import Reaper
from daemon.engine.restart import back
from daemon.engine.sweep import Sweeper
from daemon.engine.validate import Validator
from daemon.events import Trouble
from daemon.executors import Executor
from daemon.warehouse import Warehouse
from state import __version__
from state.machine import Trigger
from state.pipeline import PENDING
from state.records import DateRow
from state.store import agenda, attempts, checks, clock, dates, followed, holds
from state.store.database import Transaction
from state.store.dates import Move, Standing


class Engine:
    """Moves dates by calling its duties. Whoever calls decides when; nothing here waits or loops for ever."""

    def __init__(self, core: Core, warehouse: Warehouse, executors: Mapping[str, Executor]) -> None:
        self.core = core
        self._leaps = Leaps(core.now, core.steady or core.now)
        self.reaper = Reaper(core, executors)
        self.advancer = Advancer(core)
        self.launcher = Launcher(core, executors, self.reaper.cannot_start)
        self.validator = Validator(core, warehouse)
        self.sweeper = Sweeper(core, self.validator)

    def recover(self) -> None:
        """At start: take up running attempts, and all dates if the pipeline file has changed."""
        self._follow_clock_back()
        self._follow_pipeline()
        self.reaper.recover()

    def turn(self) -> bool:
        """Reap, lift what is over, advance, launch. True when something moved, so another turn may follow."""
        if leap := self._leaps.look():
            self.reaper.restart_limits()
            self._follow_clock_back(-leap)
        with self.core.db.read() as tx:
            todo = agenda.moves(tx, self.core.now())
        ended = self.reaper.run()  # also with none running: what another leader closed may live on here
        if todo.over:
            self._lift_expired_holds()
        looked_at = self.advancer.run() if ended or todo.over or todo.due else 0
        started = self.launcher.run() if looked_at or todo.runnable else 0
        return bool(leap or ended or looked_at or started)

    def stand_by(self) -> None:
        """In place of a turn, while another daemon leads: look after the jobs that run here."""
        if self._leaps.look():
            self.reaper.restart_limits()
        self.reaper.guard()

    def validate(self) -> bool:
        """Ask the warehouse what is due. True when something was learnt."""
        return bool(self.validator.run())

    def next_alarm(self) -> float | None:
        """When a retry, a later question or the end of a hold is due; None when only an event can matter.

        A question that is due already needs no alarm: whoever asks is at it, or held back.
        """
        with self.core.db.read() as tx:
            return agenda.next_alarm(tx, self.core.now())

    def has_question(self) -> bool:
        """Whether a question is due and may be asked, or the end of the hold on all of them has come."""
        now = self.core.now()
        with self.core.db.read() as tx:
            todo = agenda.questions(tx, now)
            return not holds.in_force(tx, holds.WAREHOUSE, now) if todo.held else todo.wanted

    def watches_attempts(self) -> bool:
        """Whether jobs run, whose time limits have to be looked at."""
        with self.core.db.read() as tx:
            return bool(attempts.running(tx))

    def recheck_holes(self) -> None:
        """Ask again about the earliest holes that somebody waits for and no live date will fill."""
        with self.core.db.read() as tx:
            found = lookback.unattended(tx, self.core)
        if found:
            with self.core.db.write() as tx:
                checks.want(tx, found, self.core.now())

    def _lift_expired_holds(self) -> None:
        now = self.core.now()
        with self.core.db.write() as tx:
            for hold in holds.lift_over(tx, now):
                if hold.kind in ("processor", "table"):
                    dates.wake_waiting(tx, Waiting.HELD, now)

    def _follow_clock_back(self, seconds: float = 0.0) -> None:
        """Plan anew what would come late by as many seconds as the clock was set back, or by what shows."""
        now = self.core.now()
        with self.core.db.read() as tx:
            ahead = max(seconds, clock.seconds_ahead(tx, now))
        if ahead > LEAP_SECONDS:
            with self.core.db.write() as tx:
                clock.follow_back(tx, now, ahead)
            text = f"the clock is {ahead:.0f} s behind what was noted; what is planned comes so much sooner"
            self.core.tell(Trouble(kind="clock", text=text))

    def _follow_pipeline(self) -> None:
        """Look at all live dates by a pipeline file that has changed; those out of place start again.

        By the same file there is nothing to look at: what each date waits for is in the database.
        """
        now = self.core.now()
        with self.core.db.write() as tx:
            if not followed.follow(tx, f"{__version__} {self.core.pipeline.fingerprint}"):
                return
            checks.clear_all_runnable(tx)
            dates.wake(tx, now)
            lost = self._out_of_place(tx)
            for row, reason in lost:
                step = Move(trigger=Trigger.READMIT, target=PENDING, reason=reason)
                standing = Standing(waiting=Waiting.TURN, due_at=now, entered_at=now)
                dates.move(tx, row, [step], standing, actor=ACTOR, now=now)
        for row, reason in lost:
            self.core.tell(back(row, Trigger.READMIT, actor=ACTOR, reason=reason))

    def _out_of_place(self, tx: Transaction) -> list[tuple[DateRow, str]]:
        """Dates that are not where the pipeline file, as it is now, would have brought them, and why."""
        unknown = dates.in_unknown_states(tx, self.core.machine.states)
        found = [(row, f"the pipeline file no longer has the state {row.state}") for row in unknown]
        before: list[str] = []
        for stage in self.core.pipeline.stages:
            skipped = dates.out_of_place(tx, stage.name, before, self.core.pipeline.processors)
            reason = f"by the pipeline file as it is now, something lacks before or after {stage.name}"
            found += [(row, reason) for row in skipped]
            before += [p.name for p in stage.processors]
        return found
