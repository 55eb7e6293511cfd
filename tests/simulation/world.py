"""A world in which the real store, rules and engine run: clock, warehouse and executor are simulated.

Nothing here sleeps. `World.run` moves the clock to the next thing that can happen.
"""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from daemon.control import Control
from daemon.core import Core
from daemon.engine import Engine
from daemon.enqueue import Enqueuer, Receipt, Request
from daemon.events import Event
from daemon.executors import Exit, Handle, Job, Observation, Record
from daemon.warehouse import Answers, Wanted, WarehouseError
from state.machine import FINAL, Machine
from state.pipeline import Pipeline
from state.records import Caller, DateRow
from state.store import attempts, dates
from state.store.database import Database
from state.verdict import Evidence, Run

Pair = tuple[str, dt.date]
ME = Caller(name="me")


@dataclass
class SimWarehouse:
    """Rows per (processor, date), and the history that jobs write."""

    clock: Callable[[], float]
    calendar: Mapping[dt.date, int]
    reference: Mapping[str, str] = field(default_factory=dict)
    rows: dict[Pair, int] = field(default_factory=dict)
    closed: dict[Pair, Run] = field(default_factory=dict)
    open: dict[Pair, Run] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    down: str = ""
    retry_at: float | None = None
    questions: int = 0

    def games(self, start: dt.date, end: dt.date) -> Mapping[dt.date, int]:
        """The calendar's games."""
        self._ask()
        return {date: games for date, games in self.calendar.items() if start <= date <= end}

    def evidence(self, wanted: Wanted, *, purpose: str) -> Answers:
        """What the rows and the history say."""
        self._ask()
        return {(name, date): self._one(name, date) for name, chosen in wanted.items() for date in chosen}

    def _one(self, name: str, date: dt.date) -> Evidence:
        if name in self.broken:
            return Evidence(error=self.broken[name])
        pair = (name, date)
        reference = self.reference.get(name)
        return Evidence(
            rows=self.rows.get(pair, 0),
            reference=self.rows.get((reference, date), 0) if reference else None,
            closed=self.closed.get(pair),
            open=self.open.get(pair),
        )

    def _ask(self) -> None:
        self.questions += 1
        if self.down:
            raise WarehouseError(self.down, retry_at=self.retry_at)

    def close(self) -> None:
        """Nothing to let go of."""


@dataclass
class Work:
    """A job of the simulated executor: when it ends, how, and what it does to the warehouse then."""

    seconds: float = 10.0
    code: int | None = 0
    effect: Callable[[], None] = lambda: None


Script = Callable[[Job], Work]


@dataclass
class SimExecutor:
    """Jobs that live outside the daemon: they go on when it dies, and are found again."""

    clock: Callable[[], float]
    script: Script
    alive: dict[int, tuple[Job, Work, float]] = field(default_factory=dict)
    ended: dict[int, Exit] = field(default_factory=dict)
    watched: set[int] = field(default_factory=set)
    stopping: set[int] = field(default_factory=set)
    launched: list[Job] = field(default_factory=list)

    def launch(self, jobs: Sequence[Job], record: Record) -> None:
        """Begin the jobs after their handles are recorded."""
        record({job.attempt: f"sim-{job.attempt}" for job in jobs})
        for job in jobs:
            self.launched.append(job)
            self.watched.add(job.attempt)
            self.alive[job.attempt] = (job, self.script(job), self.clock())

    def poll(self) -> list[Observation]:
        """What is under way, and what has ended since."""
        self._pass_time()
        seen = []
        for attempt in sorted(self.watched):
            exit_ = self.ended.get(attempt)
            started = self.alive[attempt][2] if attempt in self.alive else 0.0
            seen.append(Observation(attempt=attempt, output_at=started, exit=exit_))
            if exit_ is not None:
                self.watched.discard(attempt)
        return seen

    def _pass_time(self) -> None:
        for attempt, (_, work, started) in list(self.alive.items()):
            due = started + work.seconds
            if due <= self.clock():
                work.effect()
                self._end(attempt, Exit(code=work.code, ended_at=due))

    def _end(self, attempt: int, exit_: Exit) -> None:
        del self.alive[attempt]
        self.ended[attempt] = exit_

    def stop(self, attempt: int, grace: float) -> None:
        """The job dies at once."""
        if attempt in self.alive:
            self._end(attempt, Exit(code=143, ended_at=self.clock()))

    def log(self, attempt: int) -> Path:
        """There are no logs."""
        return Path("/nonexistent")

    def recover(self, running: Mapping[int, Handle | None]) -> None:
        """Adopt what lives; what never began is lost."""
        for attempt, handle in running.items():
            if handle is None or (attempt not in self.alive and attempt not in self.ended):
                self.ended[attempt] = Exit(code=None, ended_at=self.clock(), detail="lost: it never began")
            self.watched.add(attempt)

    def next_end(self) -> float | None:
        """When the next job ends by itself."""
        return min((started + work.seconds for _, work, started in self.alive.values()), default=None)


class World:
    """One daemon in a simulated world."""

    steady: Callable[[], float] | None = None
    """A clock that nobody sets, in a world where `time` is set; None: time only passes."""

    def __init__(
        self, pipeline: Pipeline, calendar: Mapping[dt.date, int], folder: Path, *, seed: int = 0
    ) -> None:
        self.pipeline = pipeline
        self.time = 1_760_000_000.0
        self.events: list[Event] = []
        self.rng = random.Random(seed)
        reference = {n: p.expect.ratio.of for n, p in pipeline.processors.items() if p.expect.ratio}
        self.warehouse = SimWarehouse(self.clock, calendar, reference)
        self.script: Script = self.well
        self.executor = SimExecutor(self.clock, self._play)
        self.folder = folder
        self.start()

    def clock(self) -> float:
        """The simulated time."""
        return self.time

    def start(self) -> None:
        """Start the daemon, or start it again."""
        self.db = Database(f"sqlite:///{self.folder / 'state.db'}")
        self.db.upgrade()
        self.core = Core(
            pipeline=self.pipeline,
            machine=Machine(self.pipeline),
            db=self.db,
            state_dir=self.folder,
            now=self.clock,
            steady=self.steady,
            tell=self.events.append,
            rng=self.rng,
        )
        self.executor.watched.clear()
        self.engine = Engine(self.core, self.warehouse, {"local": self.executor})
        self.enqueuer = Enqueuer(self.core, self.engine.validator)
        self.control = Control(self.core)
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
        self.warehouse.rows[name, date] = rows

    def enqueue(self, start: dt.date, end: dt.date, **options: object) -> Receipt:
        """Ask for a range."""
        span = tuple(map(dt.date.fromordinal, range(start.toordinal(), end.toordinal() + 1)))
        return self.enqueuer.enqueue(Request(dates=span, by=ME, **options))  # type: ignore[arg-type]

    def settle(self) -> None:
        """Let the engine do all that it can do now."""
        while self.engine.turn() or self.engine.validate():
            pass

    def step(self) -> bool:
        """Settle, then move the clock to the next event; False when nothing can happen any more."""
        self.settle()
        times = [at for at in (self.executor.next_end(), self.engine.next_alarm()) if at is not None]
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
            moves = dates.history(tx, date)
        return [moves[0].source, *(move.target for move in moves)] if moves else []

    def attempts(self, date: dt.date) -> list[tuple[str, str]]:
        """The attempts of a date: processor and status."""
        with self.db.read() as tx:
            return [(row.processor, row.status) for row in attempts.of_date(tx, date)]
