"""What the platform's jobs do in a simulated world: well, or as a mishap has it."""

from __future__ import annotations

import datetime as dt
import functools
import math
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping

from backfilld.daemon.executors.adapter import Job
from backfilld.state.pipeline.processor import Processor
from backfilld.state.rules.evidence import Evidence, HistoryRun
from tests.simulation.check_fakes import CheckResult, SimChecks
from tests.simulation.fakes import Pair, SimWarehouse, Work
from tests.simulation.output_dates import closes_period
from tests.simulation.scenario import Scenario

LATE_SECONDS = 90.0
"""How long rows stay unseen that a job wrote, or its run open that has ended."""


def named_dates(job: Job) -> list[dt.date]:
    """The dates that a job's command names."""
    return [dt.date.fromisoformat(text) for text in job.env["BACKFILLD_DATES"].split(",")]


def written_dates(job: Job, processor: Processor) -> list[dt.date]:
    """The dates whose output a job writes: where it is one for a period, the last date alone."""
    return named_dates(job)[-1:] if closes_period(processor) else named_dates(job)


class Platform:
    """The jobs, and what is right."""

    def __init__(
        self,
        scenario: Scenario,
        processors: Mapping[str, Processor],
        games: Mapping[dt.date, int],
        warehouse: SimWarehouse,
    ) -> None:
        self._seed = scenario.seed
        self._games = games
        self._warehouse = warehouse
        self.follow(processors)
        self._job_faults = {(m.processor, m.date, m.nth): m.kind for m in scenario.job_faults}
        self._runs: Counter[Pair] = Counter()
        self.checks = SimChecks(warehouse.clock, self._check)
        self._checks: Counter[tuple[dt.date, str]] = Counter()
        self.calm = False
        """Nothing goes wrong any more."""
        self.writes_before_calm: defaultdict[Pair, float] = defaultdict(self._writes_by_default)
        """How often each output had been written when that began."""
        self.later: list[tuple[float, Callable[[], object]]] = []
        """What comes to pass at a time of its own."""
        self.foreign: set[Pair] = set()
        """What somebody else wrote last."""
        self.written_late: defaultdict[Pair, set[float]] = defaultdict(set)
        """When the jobs ended whose rows of a table and a date have shown late."""
        warehouse.unprovable.update(filter(self._hides_writes, processors))
        warehouse.bills_stamps = random.Random(f"{self._seed} billed stamps").random() < 0.3
        for one in scenario.initial_rows:
            self.put((one.processor, one.date), one.share)

    def _writes_by_default(self) -> float:
        return 0 if self.calm else math.inf

    def follow(self, processors: Mapping[str, Processor]) -> None:
        """Go by these processors, of the pipeline file as it is now."""
        self._processors = processors
        self._warehouse.reference = {n: p.expect.ratio.of for n, p in processors.items() if p.expect.ratio}
        self._warehouse.tables = {n: p.table for n, p in processors.items()}

    def right(self, pair: Pair, games: int | None = None) -> tuple[int, float]:
        """The least and the most rows that are right, for as many games or those of the calendar."""
        name, date = pair
        expect = self._processors[name].expect
        games = self._games.get(date, 0) if games is None else games
        if expect.ratio:
            reference = self._warehouse.rows_of((expect.ratio.of, date))
            return max(1, math.ceil(expect.ratio.min * reference)), math.inf
        each, bounds = (games, expect.rows_per.root["games"]) if expect.rows_per else (1, (1, None))
        least, most = expect.rows.root if expect.rows else bounds
        return max(1, each * least), math.inf if most is None else each * most

    def complete(
        self, pair: Pair, evidence: Evidence, *, compared: bool = True, games: int | None = None
    ) -> bool:
        """Whether an answer shows what is right: a judge of its own, simpler than the product's.

        `compared`: whether the reference of a ratio has no waiver.
        """
        least, most = self.right(pair, games)
        stamp = evidence.write_stamp or self._warehouse.write_stamp(pair)
        if evidence.rows and stamp is not None and self.rejects(pair, int(stamp)):
            return False
        if self._processors[pair[0]].expect.ratio and not compared:
            return not evidence.error and evidence.rows > 0
        if self._processors[pair[0]].expect.ratio:
            reference = evidence.reference or 0
            return not evidence.error and reference > 0 and evidence.rows >= 0.5 * reference
        return not evidence.error and least <= evidence.rows <= most

    def rejects(self, pair: Pair, writes: int) -> bool:
        """Whether its check command says no of an output that was written so often."""
        name, date = pair
        if self._processors[name].expect.check is None or writes > self.writes_before_calm[name, date]:
            return False
        return random.Random(f"{self._seed} {pair} {writes} check").random() < 0.3

    def _check(self, pair: tuple[dt.date, str]) -> CheckResult:
        """What a check command says of an output as it is now, or that it does not end in time."""
        date, name = pair
        self._checks[pair] += 1
        rng = random.Random(f"{self._seed} {pair} {self._checks[pair]} run")
        writes = self._warehouse.rows.writes[self._warehouse.table(name), date]
        if not self.calm and rng.random() < 0.1:
            return CheckResult(None, seconds=30.0, detail="did not end within 30 s")
        return CheckResult(int(self.rejects((name, date), writes)), seconds=round(rng.uniform(0.5, 20), 1))

    def set_clock(self, seconds: float) -> None:
        """The clock was set: what is to come comes as it would."""
        self.later = [(at + seconds, effect) for at, effect in self.later]
        self.checks.set_clock(seconds)

    def calm_down(self) -> None:
        """From now on nothing goes wrong, and no check rejects what is written."""
        self.calm = True
        for name, processor in self._processors.items():
            for table, date in list(self._warehouse.rows.writes):
                if table == processor.table:
                    self.writes_before_calm[name, date] = self._warehouse.rows.writes[table, date]

    def put(self, pair: Pair, share: float) -> None:
        """Somebody puts a share of what is right into a table: 0 nothing, 2 twice as much."""
        self._fill(pair, share)
        self.foreign.add(pair)

    def _fill(self, pair: Pair, share: float, table: str = "") -> None:
        """Write to the processor's table, or to the one that it had."""
        self.foreign.discard(pair)
        least, _ = self.right(pair)
        rows = max(int(least * share), 1 if share > 0 else 0)
        self._warehouse.rows[table or self._warehouse.table(pair[0]), pair[1]] = rows

    def _show_late(self, pair: Pair, table: str, ended: float) -> None:
        """The rows of a job appear that has ended before."""
        self._fill(pair, 1.0, table)
        self.written_late[table, pair[1]].add(ended)

    def work(self, job: Job) -> Work:
        """What a job does."""
        name = job.env["BACKFILLD_PROCESSOR"]
        covered = written_dates(job, self._processors[name])
        kinds = {date: self._kind(name, date) for date in covered}
        rng = random.Random(f"{self._seed} {name} {covered[0]} {self._runs[name, covered[0]]}")
        work = Work(seconds=round(rng.uniform(1, 50), 1), talks=math.inf)
        return self._shaped(work, name, kinds)

    def _kind(self, name: str, date: dt.date) -> str:
        nth = self._runs[name, date]
        self._runs[name, date] += 1
        return "" if self.calm else self._job_faults.get((name, date, nth), "")

    def _shaped(self, work: Work, name: str, kinds: Mapping[dt.date, str]) -> Work:
        went = set(kinds.values())
        if went & {"hangs", "falls silent", "ignores SIGTERM"}:
            work.seconds = math.inf
        if "falls silent" in went:
            work.talks = 5.0
        if "takes long" in went and not math.isinf(work.seconds):
            work.seconds = self._processors[name].timeout - 5.0
        if "ignores SIGTERM" in went:
            work.dies_after = math.inf
        work.starts = "cannot start" not in went
        work.code = 1 if went & {"fails", "fails after writing"} else 0
        began = self._warehouse.clock
        start: list[float] = []
        table = self._warehouse.table(name)

        def begin() -> None:
            start.append(began())
            self._open(name, kinds, start[0])

        def effect() -> None:
            at = began()
            self._close(name, kinds, HistoryRun(succeeded=work.code == 0, started_at=start[0], ended_at=at))
            for date, kind in kinds.items():
                self._write((name, date), kind, at, table)

        work.begin, work.effect = begin, effect
        return work

    def _open(self, name: str, kinds: Mapping[dt.date, str], at: float) -> None:
        if self._keeps_history(name):
            for date in kinds:
                self._warehouse.open[name, date] = HistoryRun(succeeded=False, started_at=at)

    def _close(self, name: str, kinds: Mapping[dt.date, str], run: HistoryRun) -> None:
        """Write down the end of a run, at once or late; of several runs that closed, the latest counts."""
        if not self._keeps_history(name):
            return
        for date, kind in kinds.items():
            closes = functools.partial(self.close, (name, date), run)
            if kind == "closes its run late":
                self.later.append((self._warehouse.clock() + LATE_SECONDS, closes))
            elif kind != "never closes its run":
                closes()

    def close(self, pair: Pair, run: HistoryRun) -> None:
        """Write down the end of a run, unless a later one is known."""
        opened, before = self._warehouse.open.get(pair), self._warehouse.closed.get(pair)
        if opened is not None and opened.started_at <= run.started_at:
            del self._warehouse.open[pair]
        if before is None or before.started_at <= run.started_at:
            self._warehouse.closed[pair] = run

    def _rewrites_nothing(self, pair: Pair) -> bool:
        """Whether a job leaves rows alone that are right, as only a forced run can show."""
        least, most = self.right(pair)
        rng = random.Random(f"{self._seed} {pair} {self._runs[pair]} rewrites")
        return least <= self._warehouse.rows_of(pair) <= most and rng.random() < 0.3

    def _hides_writes(self, name: str) -> bool:
        """Whether the warehouse cannot tell when its table was written."""
        has_check = self._processors[name].expect.check is not None  # it is known by its writes
        return not has_check and random.Random(f"{self._seed} {name} stamps").random() < 0.2

    def _keeps_history(self, name: str) -> bool:
        return random.Random(f"{self._seed} {name}").random() < 0.6

    def _write(self, pair: Pair, kind: str, at: float, table: str) -> None:
        shares = {"fails": None, "lies": None, "writes half": 0.5, "writes twice": 2.0}
        share = shares.get(kind, 1.0)
        if not kind and not self.calm and self._rewrites_nothing(pair):
            share = None
        if share is None:
            return
        if kind == "writes late":
            self.later.append((at + LATE_SECONDS, lambda: self._show_late(pair, table, at)))
        else:
            self._fill(pair, share, table)
