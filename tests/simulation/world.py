"""A world in which the real store, rules and engine run: clock, warehouse and executor are simulated.

Nothing here sleeps. `World.run` moves the clock to the next thing that can happen.
"""

from __future__ import annotations

import datetime as dt
import random
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path

from backfilld.daemon.engine.context import EngineContext
from backfilld.daemon.engine.engine import Engine
from backfilld.daemon.engine.enqueue import Enqueuer
from backfilld.daemon.engine.enqueue_models import EnqueueRequest, EnqueueResult
from backfilld.daemon.engine.operator_commands import Commands
from backfilld.daemon.event_types import Event
from backfilld.daemon.executors.adapter import Job
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.records import Actor, DateRow, attempt_result
from backfilld.state.rules.state_machine import FINAL, Machine
from backfilld.state.store import attempts, backfills, dates, transitions
from tests import migrated
from tests.simulation.check_fakes import SimChecks
from tests.simulation.fakes import Script, SimExecutor, SimWarehouse, Work

ME = Actor(name="me")


class World:
    """One daemon in a simulated world."""

    steady: Callable[[], float] | None = None
    """A clock that nobody sets, in a world where `time` is set; None: time only passes."""

    def __init__(
        self,
        pipeline: Pipeline,
        calendar: Mapping[dt.date, int],
        folder: Path,
        *,
        seed: int = 0,
        url: str | None = None,
    ) -> None:
        """`url` is of the state database; without it, that is a file in `folder`."""
        self.db = migrated.opened(url or migrated.copy(folder / "state.db"))
        # Closed with the world: since Python 3.13, an open connection that is collected is a ResourceWarning.
        weakref.finalize(self, self.db.close)
        self.pipeline = pipeline
        self.time = 1_760_000_000.0
        self.events: list[Event] = []
        self.rng = random.Random(seed)
        reference = {n: p.expect.ratio.of for n, p in pipeline.processors.items() if p.expect.ratio}
        self.warehouse = SimWarehouse(self.clock, calendar, reference)
        self.script: Script = self.well
        self.executor = SimExecutor(self.clock, self._play, on_end=self.wake)
        self.awake = False
        """Whether a job has ended since the latest turn of the engine."""
        self.alarm: float | None = None
        """When the engine is to be called again, as it said in its latest turn."""
        self.checks = SimChecks(self.clock)
        self.folder = folder
        self.start()

    def clock(self) -> float:
        """The simulated time."""
        return self.time

    def start(self) -> None:
        """Start the daemon, or start it again."""
        self.db.close()
        self.db.upgrade()
        self.context = EngineContext(
            pipeline=self.pipeline,
            machine=Machine(self.pipeline),
            db=self.db,
            state_dir=self.folder,
            now=self.clock,
            steady=self.steady,
            emit=self.events.append,
            rng=self.rng,
        )
        self.executor.forget()
        self.checks.forget()
        self.engine = Engine(self.context, self.warehouse, {"local": self.executor}, self.checks)
        self.enqueuer = Enqueuer(self.context, self.engine.validator)
        self.commands = Commands(self.context)
        self.engine.recover()

    def _play(self, job: Job) -> Work:
        return self.script(job)

    def well(self, job: Job) -> Work:
        """A job that writes what is expected."""
        name = job.env["BACKFILLD_PROCESSOR"]
        covered = [dt.date.fromisoformat(text) for text in job.env["BACKFILLD_DATES"].split(",")]
        return Work(effect=lambda: [self.fill(name, date) for date in covered] and None)

    def fill(self, name: str, date: dt.date, rows: int = 1) -> None:
        """Put rows into a table."""
        self.warehouse.rows[self.warehouse.table(name), date] = rows

    def enqueue(self, start: dt.date, end: dt.date, **options: object) -> EnqueueResult:
        """Ask for a range."""
        span = tuple(map(dt.date.fromordinal, range(start.toordinal(), end.toordinal() + 1)))
        return self.enqueuer.enqueue(EnqueueRequest(dates=span, by=ME, **options))  # type: ignore[arg-type]

    def settle(self) -> None:
        """Let the engine do all that it can do now."""
        self.tick()
        while self.engine.validate():
            self.tick()

    def tick(self) -> None:
        """Let the engine move dates and start jobs until nothing is due."""
        while True:
            self.awake = False
            self.alarm = self.engine.tick()
            if not self.awake and (self.alarm is None or self.alarm > self.time):
                return

    def wake(self) -> None:
        """A job has ended."""
        self.awake = True

    def step(self) -> bool:
        """Settle, then move the clock to the next event; False when nothing can happen any more."""
        self.settle()
        ends = self.executor.next_end(), self.checks.next_end(), self.alarm
        times = [at for at in ends if at is not None]
        if not times:
            return False
        self.time = max(self.time, *[min(times)])
        return True

    def run(self, limit: int = 100_000) -> None:
        """Go on until nothing can happen any more."""
        for _ in range(limit):
            if not self.step():
                return
        raise AssertionError("the world does not come to rest")

    def dates(self) -> dict[dt.date, DateRow]:
        """All dates."""
        with self.db.read() as tx:
            return {row.date: row for row in dates.page(tx, start=dt.date.min, end=dt.date.max, limit=10**6)}

    def live(self) -> list[DateRow]:
        """The dates that have not ended."""
        return [row for row in self.dates().values() if row.state not in FINAL]

    def path(self, date: dt.date) -> list[str]:
        """The states a date went through."""
        with self.db.read() as tx:
            moves = transitions.history(tx, date)
        return [moves[0].source, *(move.target for move in moves)] if moves else []

    def attempts(self, date: dt.date) -> list[tuple[str, str]]:
        """The attempts of a date: processor and result, such as `exited 0`."""
        with self.db.read() as tx:
            rows = attempts.for_date(tx, date)
        return [(row.processor, attempt_result(row.status, row.exit_code)) for row in rows]

    def status(self, receipt: EnqueueResult) -> str:
        """The status of a backfill, such as `finished`; stuck ones are `active`."""
        with self.db.read() as tx:
            return backfills.status(tx, backfills.get(tx, receipt.id))  # type: ignore[arg-type]

    def ended(self, receipt: EnqueueResult) -> tuple[dict[str, int], dict[str, int]]:
        """How many dates of a backfill are in which state, and how many have which outcome."""
        with self.db.read() as tx:
            return backfills.status_counts(tx, receipt.id)  # type: ignore[arg-type]
