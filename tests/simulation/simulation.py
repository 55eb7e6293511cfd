"""One scenario lived through: the real engine, its workers' wake-ups, and all that comes from outside.

The daemon's threads are played by turns of one thread, in an order that the seed gives. Where no transaction
is open another thread may act: a request is served, the engine moves while the warehouse thinks.
"""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from backfilld.daemon.engine.budgets import BytesLedger
from backfilld.daemon.engine.commands import Commands
from backfilld.daemon.engine.context import EngineContext
from backfilld.daemon.engine.engine import Engine
from backfilld.daemon.engine.enqueue import Enqueuer
from backfilld.daemon.events import Event
from backfilld.daemon.warehouses.budget import DailyBudget
from backfilld.state.rules.machine import Machine
from tests.simulation.crashing_database import Killed, MortalDatabase
from tests.simulation.end_invariants import end
from tests.simulation.external_events import TROUBLES, happen
from tests.simulation.fakes import Process, SimExecutor, SimWarehouse
from tests.simulation.invariants import Witness
from tests.simulation.jobs import Platform
from tests.simulation.quiescence_invariants import Broken
from tests.simulation.scenario import AT_REST, Happening, Scenario

FOLDER = Path("/nonexistent")
MOST_MOMENTS = 1500
"""More moments than any world needs; one that has not ended by then never will."""
MOST_RECHECKS = 3
"""How often a hole is asked about again while nothing else happens."""
MOST_CALLS = 400
"""More calls of duties than one moment needs."""
MOST_REQUESTS = 2
"""How many requests are served at once."""


Coming = list[Any]
"""How many points are still to be passed, and what comes then."""


class Life:
    """One world from its first request until everything in it has ended."""

    def __init__(self, scenario: Scenario, db: MortalDatabase) -> None:
        db.clear()
        self.scenario = scenario
        self.db = db
        self.time = self.begun = scenario.start
        """Now, and from when on counts what is to come."""
        self.rng = random.Random(scenario.seed)
        self.pipeline = scenario.pipeline()
        known = {**scenario.pipeline(edited=scenario.is_edited).processors, **self.pipeline.processors}
        reference = {n: p.expect.ratio.of for n, p in known.items() if p.expect.ratio}
        limit, zone = self.pipeline.warehouse.daily_bytes, self.pipeline.quota_timezone
        budget = DailyBudget(limit, BytesLedger(db), self.clock, zone) if limit else None
        self.warehouse = SimWarehouse(self.clock, scenario.games, reference, budget)
        self.platform = Platform(scenario, known, self.warehouse)
        self.executor = SimExecutor(self.clock, self.platform.work)
        self.events: list[Event] = []
        self.told: list[tuple[float, str]] = []
        self.points: Counter[str] = Counter()
        self.kills: Counter[str] = Counter()
        self.calls = 0
        self.coming: list[Coming] = [[one.skip, one] for one in scenario.happenings]
        self.up = self.mover = self.asker = self.turning = False
        self.alarm: float | None = None
        self.leapt = self.unseen = 0.0
        """By how many seconds the clock was set forward, all in all, and since the engine's last turn."""
        self.requests = 0
        """Requests that are being served at once."""
        self.rechecked, self.rechecks, self.progress = self.begun, 0, (0, 0)
        self._load()
        self.witness = Witness(self)
        db.committed = self.witness.committed
        db.point = self.point
        self.warehouse.point = self._think
        self.executor.point = self.point
        self.executor.on_end = self.wake

    def clock(self) -> float:
        """The simulated time."""
        return self.time

    def run(self) -> None:
        """Live through it, to its end.

        Raises:
            Broken: an invariant does not hold.
        """
        self.start()
        self.go_on()
        end(self)

    def expect(self, happenings: Iterable[Happening]) -> None:
        """From now on these are to come."""
        self.begun = self.time
        self.coming = [[one.skip, one] for one in happenings]
        self.wake()

    def wake(self) -> None:
        """Both workers look as soon as they can."""
        self.mover = self.asker = True

    def emit(self, text: str) -> None:
        """Keep a line of the story."""
        self.told.append((self.time, text))

    # The daemon

    def _load(self) -> None:
        """Read the pipeline file."""
        self.context = EngineContext(
            pipeline=self.pipeline,
            machine=Machine(self.pipeline),
            db=self.db,
            state_dir=FOLDER,
            now=self.clock,
            steady=lambda: self.time - self.leapt,
            emit=self.events.append,
            rng=self.rng,
        )

    def _edit(self) -> None:
        """Somebody edits the pipeline file; the daemon goes by it when it starts again."""
        self.emit("the pipeline file is edited")
        self.pipeline = self.scenario.pipeline(edited=True)
        self._load()

    def start(self) -> None:
        """Start the daemon, until it does not die of it."""
        while not self.up:
            try:
                self.executor.forget()
                self.engine = Engine(self.context, self.warehouse, {"local": self.executor})
                self.enqueuer = Enqueuer(self.context, self.engine.validator)
                self.commands = Commands(self.context)
                self.engine.recover()
            except Killed as killed:
                self._die(killed)
            else:
                self.up = True
                self.wake()
                self.alarm = None

    def _die(self, killed: Killed) -> None:
        name, seconds = killed.args
        self.kills[name] += 1
        self.emit(f"the daemon is killed {name}, for {seconds:g} s")
        self.up = self.turning = False
        self.requests = 0
        self.advance(self.time + seconds)

    def go_on(self) -> None:
        """Until nothing can happen any more."""
        for _ in range(MOST_MOMENTS):
            try:
                self._work()
                self.witness.at_rest()
                if not self._pass_time():
                    return
            except Killed as killed:
                self._die(killed)
                self.start()
        raise Broken("liveness", f"after {MOST_MOMENTS} moments things still go on")

    def _work(self) -> None:
        """The two workers of the service, until both sleep."""
        for _ in range(MOST_CALLS):
            if not (self.mover or self.asker):
                if not self._rings():
                    return
                self.wake()
            if self.mover and (not self.asker or self.rng.random() < 0.6):
                self._move()
            else:
                self._ask()
        raise Broken("liveness", f"the workers do not come to rest within {MOST_CALLS} calls")

    def _move(self) -> None:
        self.mover = False
        if self._turn():
            self.wake()
        else:
            self.alarm = self.engine.next_wakeup()

    def _turn(self) -> bool:
        self.calls += 1
        self.unseen = 0.0
        self.turning = True
        moved = self.engine.tick()
        self.turning = False
        return moved

    def _ask(self) -> None:
        self.calls += 1
        self.asker = False
        if self.engine.validate():
            self.wake()

    # Time

    def set_clock(self, seconds: float) -> None:
        """Somebody sets the clock, which what goes on outside does not notice."""
        self.time += seconds
        self.leapt += seconds
        self.unseen += seconds
        self.begun += seconds
        self.rechecked += seconds
        self.platform.later = [(at + seconds, effect) for at, effect in self.platform.later]
        self.executor.set_clock(seconds)
        self.warehouse.set_clock(seconds)
        self.witness.clock_was_set(seconds)

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
        at = min(self._moments(), default=None)
        if at is None:
            return self._come(self.coming[:1])
        recheck = self.rechecked + self.pipeline.engine.recheck_interval
        if at == recheck:
            self.rechecks += 1
        elif (progress := (self.witness.moves, len(self.executor.launched))) != self.progress:
            self.progress, self.rechecks = progress, 0
        self.advance(max(at, self.time))
        due = [entry for entry in self.coming if self.begun + entry[1].at <= self.time]
        self._come([entry for entry in due if _comes_at_rest(*entry)])
        if self.witness.waits_for_earlier and self.time >= recheck:
            self.rechecked = self.time
            self.engine.recheck_missing_upstream()
        self.mover = self.mover or self.engine.has_running_attempts()
        self.asker = self.asker or self.engine.has_due_query()
        return True

    def _come(self, entries: list[Coming]) -> bool:
        """Let some of what is to come happen while all is at rest; whether there was any."""
        for entry in entries:
            if entry in self.coming:
                self.coming.remove(entry)
                self._strike(entry[1], AT_REST)
        return bool(entries)

    def _strike(self, one: Happening, point: str) -> None:
        if one.args.get("edits"):
            self._edit()
        if one.verb == "kill":
            raise Killed(point, one.args["for_seconds"])
        self._perform(one)

    def _rings(self) -> bool:
        return self.alarm is not None and self.alarm <= self.time

    def _moments(self) -> list[float]:
        moments = [at for _, one in self.coming if (at := self.begun + one.at) > self.time]
        moments += [at for at, _ in self.platform.later]
        if self.alarm is not None:
            moments.append(self.alarm)
        for attempt, process in self.executor.alive.items():
            overdue = self._overdue(attempt, process)
            moments.append(min(process.ends, overdue if overdue > self.time else process.ends))
        if self.witness.waits_for_earlier and self.rechecks < MOST_RECHECKS:
            moments.append(self.rechecked + self.pipeline.engine.recheck_interval)
        return [at for at in moments if not math.isinf(at)]

    def _overdue(self, attempt: int, process: Process) -> float:
        """When the daemon ends a job: it counts by what it has noted, which may be set since."""
        limits = self.pipeline.job_settings(process.job.env["BACKFILLD_PROCESSOR"])
        noted = self.witness.running.get(attempt, {}).get("started_at") or 0.0
        began = max(process.started, noted)
        spoke = max(began, process.started + process.work.talks)
        unseen = 2 * self.scenario.thinks if self.leapt else 0.0  # what it took to see that the clock was set
        return min(began + limits.timeout, spoke + limits.idle_timeout) + unseen + 1.0

    # What comes from outside

    def point(self, name: str, *, free: bool = True) -> None:
        """A named point is passed: the daemon may die here, and where it is free others may act."""
        self.points[name] += 1
        for entry in list(self.coming):
            one = entry[1]
            if entry not in self.coming:
                continue  # another point, further in, was where it came
            if self.begun + one.at > self.time:
                return
            if one.point and one.point != name:
                continue
            if entry[0] > 0:
                entry[0] -= 1
            elif one.verb == "kill" or (free and self.up and self.requests < MOST_REQUESTS):
                self.coming.remove(entry)
                self._strike(one, name)

    def _think(self, name: str) -> None:
        """The warehouse takes its time, whoever asks; meanwhile the engine may go on."""
        self.advance(self.time + self.scenario.thinks / 2)
        self.point(name)
        if self.up and not self.turning and self.rng.random() < 0.3:
            self.requests += MOST_REQUESTS
            for _ in itertools.takewhile(bool, (self._turn() for _ in range(MOST_CALLS))):
                pass
            self.requests -= MOST_REQUESTS

    def _perform(self, one: Happening) -> None:
        self.emit(str(one))
        self.rechecks = 0
        self.requests += 1
        refusal = happen(self, one)
        self.requests -= 1
        if refusal:
            self.emit(f"  refused: {refusal}")
        if one.verb not in TROUBLES:
            self.wake()


def _comes_at_rest(skip: int, one: Happening) -> bool:
    return one.point == AT_REST or (not one.point and skip == 0)
