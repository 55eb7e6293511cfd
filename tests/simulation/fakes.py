"""What is outside of the daemon and lives on when it dies: the warehouse, and the jobs that run."""

from __future__ import annotations

import datetime as dt
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from backfilld.daemon.executors.adapter import Handle, Job, JobResult, JobStatus, RecordHandles
from backfilld.daemon.executors.attempt_files import FileLog
from backfilld.daemon.warehouses.adapter import Answers, Wanted, WarehouseError
from backfilld.daemon.warehouses.billing_budget import DailyBudget
from backfilld.state.rules.evidence import Evidence, HistoryRun
from backfilld.state.rules.season_calendar import Counts
from tests.simulation.scenario import ANSWER_SENT, QUERY_SENT

Pair = tuple[str, dt.date]
"""A processor and a date."""
BYTES = 10
"""What a question is billed for each table."""


def do_nothing() -> None:
    """What a job does that does nothing."""


class WrittenRows(dict[Pair, int]):
    """Rows per (table, date), with the number of times that each partition was written."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__()
        self._clock = clock
        self.writes: Counter[Pair] = Counter()
        self.changes: defaultdict[Pair, list[tuple[float, int]]] = defaultdict(list)
        """When each partition was written, with the rows that it had from then on."""

    def __setitem__(self, pair: Pair, rows: int) -> None:
        self._written(pair, rows)
        super().__setitem__(pair, rows)

    def __delitem__(self, pair: Pair) -> None:
        self._written(pair, 0)
        super().__delitem__(pair)

    def clear(self) -> None:
        """Empty every table."""
        for pair in self:
            self._written(pair, 0)
        super().clear()

    def at(self, pair: Pair, moment: float) -> int:
        """The rows that a partition had then."""
        return next((rows for at, rows in reversed(self.changes[pair]) if at <= moment), 0)

    def _written(self, pair: Pair, rows: int) -> None:
        self.writes[pair] += 1
        self.changes[pair].append((self._clock(), rows))


@dataclass
class SimWarehouse:
    """Rows per (processor, date), and the history that jobs write."""

    clock: Callable[[], float]
    calendar: Mapping[dt.date, int]
    reference: Mapping[str, str] = field(default_factory=dict)
    budget: DailyBudget | None = None
    rows: WrittenRows = field(init=False)
    unprovable: set[str] = field(default_factory=set)
    """The processors of whose tables it cannot tell when they were written."""
    bills_stamps: bool = False
    """Whether it reads write stamps only where they are asked for."""
    tables: Mapping[str, str] = field(default_factory=dict)
    """The output table of each processor; of others it is named like the processor."""
    closed: dict[Pair, HistoryRun] = field(default_factory=dict)
    open: dict[Pair, HistoryRun] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    down: str = ""
    retry_at: float | None = None
    permanent: bool = False
    """When a spent quota is filled again."""
    refused_until: float | None = None
    """The `retry_at` that was told with the latest refusal."""
    questions: int = 0
    calendar_questions: int = 0
    """Those of them about the calendar."""
    billed: int = 0
    """Bytes, whatever the daemon has written down of them."""
    point: Callable[[str], None] = lambda name: None
    """Told while a question is under way; time may pass there."""
    answers: dict[Pair, dict[float, Evidence]] = field(default_factory=dict)
    """What was answered, by when it was asked."""
    read_at: dict[dt.date, list[float]] = field(default_factory=dict)
    """When the calendar was read for each date."""

    def __post_init__(self) -> None:
        self.rows = WrittenRows(self.clock)

    def counts(self, start: dt.date, end: dt.date) -> Mapping[dt.date, Counts]:
        """The calendar's counts."""
        self.calendar_questions += 1
        self._ask(tables=1)
        for number in range(start.toordinal(), end.toordinal() + 1):
            self.read_at.setdefault(dt.date.fromordinal(number), []).append(self.clock())
        return {date: {"games": games} for date, games in self.calendar.items() if start <= date <= end}

    def rule_problem(self, processor: str, date: dt.date) -> str:
        """Every rule can be queried."""
        del processor, date
        return ""

    def evidence(self, wanted: Wanted, *, purpose: str, stamps: Wanted | None = None) -> Answers:
        """What the rows and the history say."""
        asked_at = self.clock()
        self.point(QUERY_SENT)
        self._ask(tables=len(wanted))
        answers = {(name, date): self.look(name, date) for name, chosen in wanted.items() for date in chosen}
        read = (stamps, {} if self.bills_stamps else wanted) if stamps is not None else ()
        stamped = {(name, date) for of in read for name in of for date in of[name]}
        for pair in stamped:
            answers[pair] = replace(answers[pair], write_stamp=self.write_stamp(pair))
        for pair, evidence in answers.items():
            self.answers.setdefault(pair, {})[asked_at] = evidence
        self.point(ANSWER_SENT)
        return answers

    def look(self, name: str, date: dt.date) -> Evidence:
        """What is there, for whoever need not ask."""
        if name in self.broken:
            return Evidence(error=self.broken[name])
        pair = (name, date)
        reference = self.reference.get(name)
        return Evidence(
            rows=self.rows_of(pair),
            reference=self.rows_of((reference, date)) if reference else None,
            closed=self.closed.get(pair),
            open=self.open.get(pair),
        )

    def table(self, name: str) -> str:
        """The output table of a processor."""
        return self.tables.get(name, name)

    def rows_of(self, pair: Pair) -> int:
        """The rows of a processor's output on a date."""
        return self.rows.get((self.table(pair[0]), pair[1]), 0)

    def write_stamp(self, pair: Pair) -> str | None:
        """What changes with each write of a partition."""
        if pair[0] in self.unprovable | self.broken.keys():
            return None
        return str(self.rows.writes[self.table(pair[0]), pair[1]])

    def _ask(self, *, tables: int) -> None:
        if self.budget:
            self.budget.check()
        self.questions += 1
        if self.down:
            self.refused_until = self.retry_at
            raise WarehouseError(self.down, retry_at=self.retry_at, permanent=self.permanent)
        if self.budget:
            self.billed += tables * BYTES
            self.budget.spend(tables * BYTES)

    def set_clock(self, seconds: float) -> None:
        """The clock was set: a quota begins anew when it would have."""
        if self.retry_at is not None:
            self.retry_at += seconds

    def close(self) -> None:
        """Nothing to let go of."""


@dataclass
class Work:
    """What a job does: when it ends by itself, how, and what it does to the warehouse."""

    seconds: float = 10.0
    code: int | None = 0
    effect: Callable[[], None] = do_nothing
    """At its own end."""
    begin: Callable[[], None] = do_nothing
    """At its start."""
    talks: float = 0.0
    """Seconds for which it goes on to print."""
    dies_after: float = 0.0
    """Seconds that it lives on after SIGTERM, if its grace is that long."""
    starts: bool = True
    """False: the machine cannot start it."""
    refusal: str = "No such file"
    """Why it cannot."""


@dataclass
class Launch:
    """A job that began, and how it ended."""

    processor: str
    dates: list[dt.date]
    table: str
    version: int
    """Of the pipeline file."""
    started: float
    named: list[dt.date]
    """The dates that its command names."""
    ended: float | None = None
    code: int | None = None


@dataclass
class Process:
    """A job that runs."""

    job: Job
    launch: Launch | None
    work: Work
    started: float
    ends: float
    code: int | None
    effect: Callable[[], None]


Script = Callable[[Job], Work]


@dataclass
class SimExecutor:
    """Jobs live outside the daemon: they go on when it dies, and are found again by what `ended` keeps.

    `point` is told which named point of a launch is passed, and may raise there.
    """

    clock: Callable[[], float]
    script: Script
    point: Callable[[str], None] = lambda name: None
    on_end: Callable[[], None] = do_nothing
    """Called when there is an end to be noticed."""
    kind: str = "sim"
    unavailable_reason: str = ""
    """What keeps every job from starting."""
    fault: str = ""
    alive: dict[int, Process] = field(default_factory=dict)
    ended: dict[int, JobResult] = field(default_factory=dict)
    watched: set[int] = field(default_factory=set)
    refused: dict[int, JobResult] = field(default_factory=dict)
    launched: list[Job] = field(default_factory=list)
    record: Callable[[Job], Launch | None] = lambda job: None
    """Notes each job that begins."""

    def launch(self, jobs: Sequence[Job], record: RecordHandles) -> None:
        """Begin the jobs after their handles are recorded."""
        self.point("before launch")
        work = {job.attempt: self.script(job) for job in jobs}
        for job in jobs:
            if not work[job.attempt].starts:
                why = work[job.attempt].refusal
                self.refused[job.attempt] = JobResult.cannot_start(why, at=self.clock())
                self.on_end()
        able = [job for job in jobs if work[job.attempt].starts]
        if able:
            record({job.attempt: f"{self.kind}-{job.attempt}" for job in able})
        for job in able:
            self.point("handles recorded, before a job begins")
            self._begin(job, work[job.attempt])
        self.point("after launch")

    def _begin(self, job: Job, work: Work) -> None:
        now = self.clock()
        self.launched.append(job)
        self.watched.add(job.attempt)
        self.alive[job.attempt] = Process(
            job, self.record(job), work, now, now + work.seconds, work.code, work.effect
        )
        work.begin()

    def poll(self) -> list[JobStatus]:
        """What is under way, and what has ended since."""
        self.pass_time()
        seen = [JobStatus(attempt=n, output_at=end.ended_at, result=end) for n, end in self.refused.items()]
        self.refused.clear()
        for attempt in sorted(self.watched):
            exit_ = self.ended.get(attempt)
            seen.append(JobStatus(attempt=attempt, output_at=self._output_at(attempt), result=exit_))
            if exit_ is not None:
                self.watched.discard(attempt)
        return seen

    def _output_at(self, attempt: int) -> float:
        process = self.alive.get(attempt)
        return min(self.clock(), process.started + process.work.talks) if process else 0.0

    def pass_time(self) -> None:
        """Let jobs end whose time has come, in that order."""
        while self.alive and (end := min(p.ends for p in self.alive.values())) <= self.clock():
            attempt, process = next((n, p) for n, p in self.alive.items() if p.ends == end)
            del self.alive[attempt]
            self.ended[attempt] = JobResult(code=process.code, ended_at=end)
            if process.launch:
                process.launch.ended, process.launch.code = end, process.code
            process.effect()
            self.on_end()

    def stop(self, attempt: int, grace: float) -> None:
        """SIGTERM; what does not die of it dies at the end of its grace."""
        process = self.alive.get(attempt)
        if process is None or process.code == 143:
            return
        ends = self.clock() + min(process.work.dies_after, grace)
        if ends < process.ends:
            process.ends, process.code, process.effect = ends, 143, do_nothing
        self.pass_time()

    def log(self, attempt: int) -> FileLog:
        """There are no logs."""
        return FileLog(Path("/nonexistent"))

    def recognizes(self, handle: Handle) -> bool:
        """Whether an executor of this kind recorded it."""
        return handle.startswith(f"{self.kind}-")

    def recover(self, running: Mapping[int, Handle | None]) -> None:
        """Adopt what lives; what never began is lost."""
        for attempt in running:
            if attempt not in self.alive and attempt not in self.ended:
                self.ended[attempt] = JobResult.never_began(at=self.clock())
            self.watched.add(attempt)
        self.on_end()

    def forget(self) -> None:
        """The daemon died: what it had in memory is gone."""
        self.watched.clear()
        self.refused.clear()

    def set_clock(self, seconds: float) -> None:
        """The clock was set: jobs go on as they would, and the daemon counts their limits anew."""
        for process in self.alive.values():
            process.work.talks -= self.clock() - seconds - process.started
            process.started, process.ends = self.clock(), process.ends + seconds

    def next_end(self) -> float | None:
        """When the next job ends by itself, if any ever does."""
        ends = min((process.ends for process in self.alive.values()), default=math.inf)
        return None if math.isinf(ends) else ends
