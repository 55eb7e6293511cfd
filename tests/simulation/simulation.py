"""One scenario lived through: the real engine, its workers' wake-ups, and all that comes from outside.

The daemon's threads are played by turns of one thread, in an order that the seed gives. Where no transaction
is open another thread may act: a request is served, the engine moves while the warehouse thinks.
"""

from __future__ import annotations

import datetime as dt
import functools
import itertools
import random
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from backfilld.daemon.engine.context import EngineContext
from backfilld.daemon.engine.daily_budgets import BytesLedger
from backfilld.daemon.engine.engine import Engine
from backfilld.daemon.engine.enqueue import Enqueuer
from backfilld.daemon.engine.operator_commands import Commands
from backfilld.daemon.event_types import Event
from backfilld.daemon.warehouses.billing_budget import DailyBudget
from backfilld.state.rules.state_machine import Machine
from tests.simulation.crashing_database import CrashingDatabase, Killed
from tests.simulation.end_invariants import end
from tests.simulation.external_events import FAULTS, apply_event
from tests.simulation.fakes import Launch, SimExecutor, SimWarehouse
from tests.simulation.inputs import Inputs
from tests.simulation.invariants import Invariants
from tests.simulation.jobs import Platform
from tests.simulation.moments import moments, record_launch
from tests.simulation.quiescence_invariants import Violation
from tests.simulation.scenario import AT_REST, MAX_REQUESTS, ExternalEvent, Scenario
from tests.simulation.state_copies import StateCopies

FOLDER = Path("/nonexistent")
MAX_MOMENTS = 1500
"""More moments than any world needs; one that has not ended by then never will."""
MAX_CALLS = 400
"""More calls of duties than one moment needs."""


PendingEvent = list[Any]
"""How many points are still to be passed, and what comes then."""


class Simulation:
    """One world from its first request until everything in it has ended."""

    def __init__(self, scenario: Scenario, db: CrashingDatabase) -> None:
        db.clear()
        self.scenario = scenario
        self.db = db
        self.time = self.events_start = self.started_at = scenario.start
        """Now, and from when on counts what is to come."""
        self.rng = random.Random(scenario.seed)
        self.version = 0
        """How often the pipeline file was edited."""
        self.pipeline = scenario.pipeline()
        self.games = dict(scenario.games)
        """What the calendar counts now."""
        self.calendar_changes: dict[dt.date, list[tuple[float, int]]] = {}
        """When the counts of a date changed, with the new ones."""
        limit, zone = self.pipeline.warehouse.daily_bytes, self.pipeline.quota_timezone
        budget = DailyBudget(limit, BytesLedger(db), self.clock, zone) if limit else None
        self.warehouse = SimWarehouse(self.clock, self.games, {}, budget)
        self.platform = Platform(scenario, scenario.processors(self.version), self.games, self.warehouse)
        self.executor = SimExecutor(self.clock, self.platform.work)
        self.spare = SimExecutor(self.clock, self.platform.work, kind="spare")
        """Another executor, which an edit of the pipeline file may remove; both see the same jobs."""
        for name in ("alive", "ended", "launched"):
            setattr(self.spare, name, getattr(self.executor, name))
        self.copies = StateCopies(self)
        self.events: list[Event] = []
        self.log: list[tuple[float, str]] = []
        self.points: Counter[str] = Counter()
        self.kills: Counter[str] = Counter()
        self.calls = 0
        self.pending_events: list[PendingEvent] = [[one.skip, one] for one in scenario.external_events]
        self.up = self.engine_awake = self.validator_awake = self.turning = False
        self.alarm: float | None = None
        self.clock_offset = self.clock_set_at = self.unnoticed = 0.0
        """By how many seconds the clock was set forward, all in all, and since the engine's last turn."""
        self.requests = 0
        """Requests that are being served at once."""
        self.rechecked, self.rechecks, self.progress = self.events_start, 0, (0, 0)
        self._load_pipeline()
        self.invariants = Invariants(self)
        db.on_commit = self.invariants.committed
        db.point = self.point
        self.warehouse.point = self._query
        self.launches: list[Launch] = []
        """Every job that began, whatever the daemon knows of it."""
        for executor in (self.executor, self.spare):
            executor.point, executor.on_end = self.point, self.wake
            executor.record = functools.partial(record_launch, self)

    def clock(self) -> float:
        """The simulated time."""
        return self.time

    def run(self) -> None:
        """Live through it, to its end.

        Raises:
            Violation: an invariant does not hold.
        """
        self.start()
        self.run_until_quiescent()
        end(self)

    def expect(self, external_events: Iterable[ExternalEvent]) -> None:
        """From now on these are to come."""
        self.events_start = self.time
        self.pending_events = [[one.skip, one] for one in external_events]
        self.wake()

    def wake(self) -> None:
        """Both workers look as soon as they can."""
        self.engine_awake = self.validator_awake = True

    def emit(self, text: str) -> None:
        """Keep a line of the story."""
        self.log.append((self.time, text))

    # The daemon

    def _load_pipeline(self) -> None:
        """Read the pipeline file."""
        self.inputs = Inputs(self.pipeline)
        self.context = EngineContext(
            pipeline=self.pipeline,
            machine=Machine(self.pipeline),
            db=self.db,
            state_dir=FOLDER,
            now=self.clock,
            steady=lambda: self.time - self.clock_offset,
            emit=self.events.append,
            rng=self.rng,
        )

    def _edit_pipeline(self) -> None:
        """Somebody edits the pipeline file; the daemon goes by it when it starts again."""
        if self.version + 1 == len(self.scenario.files):
            return
        self.version += 1
        self.emit("the pipeline file is edited")
        self.pipeline = self.scenario.pipeline(self.version)
        self.platform.follow(self.scenario.processors(self.version))
        self._load_pipeline()

    def start(self) -> None:
        """Start the daemon, until it does not die of it."""
        while not self.up:
            try:
                for outside in (self.executor, self.spare, self.platform.checks):
                    outside.forget()
                self.started_at = self.time
                self.engine = Engine(self.context, self.warehouse, self._executors(), self.platform.checks)
                self.enqueuer = Enqueuer(self.context, self.engine.validator)
                self.commands = Commands(self.context)
                self.engine.recover()
                if self.scenario.changes_calendar or not self.scenario.counted:
                    self.engine.recheck_calendar()
            except Killed as killed:
                self._die(killed)
            else:
                self.up = True
                self.wake()
                self.alarm = None

    def _executors(self) -> dict[str, SimExecutor]:
        both = {"local": self.executor, "dask": self.spare}
        return {name: executor for name, executor in both.items() if name in self.pipeline.executor}

    def _die(self, killed: Killed) -> None:
        name, seconds = killed.args
        self.kills[name] += 1
        self.emit(f"the daemon is killed {name}, for {seconds:g} s")
        self.up = self.turning = False
        self.requests = 0
        self.advance(self.time + seconds)

    def run_until_quiescent(self) -> None:
        """Until nothing can happen any more."""
        for _ in range(MAX_MOMENTS):
            try:
                self._run_workers()
                self.invariants.at_rest()
                if not self._pass_time():
                    return self.invariants.sharing.at_rest_for_good()
            except Killed as killed:
                self._die(killed)
                self.start()
        raise Violation("liveness", f"after {MAX_MOMENTS} moments things still go on")

    def _run_workers(self) -> None:
        """The two workers of the service, until both sleep."""
        for _ in range(MAX_CALLS):
            if not (self.engine_awake or self.validator_awake):
                if not self._alarm_is_due():
                    return
                self.wake()
            if self.engine_awake and (not self.validator_awake or self.rng.random() < 0.6):
                self._run_engine()
            else:
                self._ask()
        raise Violation("liveness", f"the workers do not come to rest within {MAX_CALLS} calls")

    def _run_engine(self) -> None:
        self.engine_awake = False
        self._tick()
        self.validator_awake = True

    def _tick(self) -> bool:
        """A turn of the engine. Returns whether the next one is due at once."""
        self.calls += 1
        self.unnoticed = 0.0
        self.turning = True
        self.alarm = self.engine.tick()
        self.turning = False
        return self._alarm_is_due()

    def _ask(self) -> None:
        self.calls += 1
        self.validator_awake = False
        if self.engine.validate():
            self.wake()

    # Time

    def set_clock(self, seconds: float) -> None:
        """Somebody sets the clock, which what goes on outside does not notice."""
        self.time += seconds
        self.clock_offset += seconds
        self.clock_set_at = self.time
        self.unnoticed += seconds
        self.events_start += seconds
        self.rechecked += seconds
        self.platform.set_clock(seconds)
        self.executor.set_clock(seconds)
        self.warehouse.set_clock(seconds)
        self.invariants.clock_was_set(seconds)

    def advance(self, to: float) -> None:
        """Let time pass: jobs end and late rows appear, each at its time."""
        while True:
            ends = self.executor.next_end()
            at = min([to, *([ends] if ends is not None else []), *(at for at, _ in self.platform.later)])
            self.time = max(self.time, at)
            self.executor.pass_time()
            due = [one for one in self.platform.later if one[0] <= self.time]
            self.platform.later = [one for one in self.platform.later if one[0] > self.time]
            for _, effect in due:
                effect()
                self.rechecks = 0
            if at >= to:
                return

    def _pass_time(self) -> bool:
        """Go to the next moment at which anything can happen; False when there is none."""
        at = min(moments(self), default=None)
        if at is None:
            return self._apply_pending(self.pending_events[:1])
        recheck = self.rechecked + self.pipeline.engine.recheck_interval
        if at == recheck:
            self.rechecks += 1
        elif (progress := (self.invariants.moves, len(self.executor.launched))) != self.progress:
            self.progress, self.rechecks = progress, 0
        self.advance(max(at, self.time))
        due = [entry for entry in self.pending_events if self.events_start + entry[1].at <= self.time]
        self._apply_pending([e for e in due if e[1].point == AT_REST or (not e[1].point and e[0] == 0)])
        if self.needs_recheck and self.time >= recheck:
            self.rechecked = self.time
            if self.scenario.changes_calendar or not self.scenario.counted:
                self.engine.recheck_calendar()
                self.engine_awake = True
            self.engine.recheck_missing_upstream()
            self.engine.recheck_failed()
        self.engine_awake |= self.engine.has_running_attempts() or bool(self.platform.checks.running)
        self.validator_awake = self.validator_awake or self.engine.has_due_query()
        return True

    @property
    def needs_recheck(self) -> bool:
        """Whether any date waits for an earlier one, or the daemon does not know the calendar as it is."""
        return self.invariants.waits_for_earlier or self.invariants.calendar_is_outdated

    def _apply_pending(self, entries: list[PendingEvent]) -> bool:
        """Let some of what is to come happen while all is at rest; whether there was any."""
        for entry in entries:
            if entry in self.pending_events:
                self.pending_events.remove(entry)
                self._apply(entry[1], AT_REST)
        return bool(entries)

    def _apply(self, one: ExternalEvent, point: str) -> None:
        if one.args.get("edits"):
            self._edit_pipeline()
        if one.verb == "restore":
            self.emit("the state database is restored from its copy")
            self.copies.restore()
        if one.verb in ("kill", "restore"):
            raise Killed(point, one.args["for_seconds"])
        self._perform(one)

    def _alarm_is_due(self) -> bool:
        return self.alarm is not None and self.alarm <= self.time

    # What comes from outside

    def point(self, name: str, *, free: bool = True) -> None:
        """A named point is passed: the daemon may die here, and where it is free others may act."""
        self.points[name] += 1
        for entry in list(self.pending_events):
            one = entry[1]
            if entry not in self.pending_events:
                continue  # another point, further in, was where it came
            if self.events_start + one.at > self.time:
                return
            if one.point and one.point != name:
                continue
            if entry[0] > 0:
                entry[0] -= 1
            elif one.verb == "kill" or (free and self.up and self.requests < MAX_REQUESTS):
                self.pending_events.remove(entry)
                self._apply(one, name)

    def _query(self, name: str) -> None:
        """The warehouse takes its time, whoever asks; meanwhile the engine may go on."""
        self.advance(self.time + self.scenario.query_seconds / 2)
        self.point(name)
        if self.up and not self.turning and self.rng.random() < 0.3:
            self.requests += MAX_REQUESTS
            for _ in itertools.takewhile(bool, (self._tick() for _ in range(MAX_CALLS))):
                pass
            self.requests -= MAX_REQUESTS

    def _perform(self, one: ExternalEvent) -> None:
        self.emit(str(one))
        self.rechecks = 0
        self.requests += 1
        refusal = apply_event(self, one)
        self.requests -= 1
        if refusal:
            self.emit(f"  refused: {refusal}")
        if one.verb not in FAULTS:
            self.wake()
