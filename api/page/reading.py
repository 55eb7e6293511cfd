"""What the pages show beyond the API's own answers: last words of jobs, what waits, plans in short."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from api import joblog
from api.page import grid
from api.page.kinds import Kind, Kinds
from api.schemas.reports import Plan, Step
from api.schemas.told import Check, Date
from api.served import Served
from daemon.waiting import waiting_on
from state.pipeline import PENDING
from state.store import attempts, dates, reading, tallies
from state.store.database import Transaction

LONGEST_LINE = 200
"""Characters of a log's last line that are shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Live dates that wait for the same: how many, and the first of them with its sentence."""

    reason: str
    n: int
    date: dt.date
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """The jobs that a plan has for one processor: the first of them, how many, and seconds of all."""

    first: Step
    jobs: int
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Picture:
    """The calendar grid as it stood at `version`."""

    version: str
    rows: Sequence[grid.Row]

    @property
    def shown(self) -> set[Kind]:
        """The kinds that some date has."""
        return {layer.kind for row in self.rows for layer in row.layers}


def last_lines(service: Served, running: Sequence[int]) -> dict[int, str]:
    """The last line that each running attempt has written, so far as it has."""
    with service.core.db.read() as tx:
        rows = [row for row in attempts.running(tx) if row.id in running]
    found = {}
    for row in rows:
        executor = service.executors.get(row.executor)
        part = joblog.read(executor.log(row.id), tail=1) if executor else None
        text = b"".join(part.chunks()) if part else b""
        found[row.id] = text[:LONGEST_LINE].decode(errors="replace").strip()
    return found


def waits(service: Served) -> list[Wait]:
    """What live dates wait for, the most frequent first."""
    with service.core.db.read() as tx:
        counts: dict[str, int] = {}
        for count in tallies.dates(tx):
            if count.waiting:
                counts[count.waiting] = counts.get(count.waiting, 0) + count.n
        found = [_wait(tx, service, reason, n) for reason, n in counts.items()]
    return sorted((wait for wait in found if wait is not None), key=lambda wait: -wait.n)


def _wait(tx: Transaction, service: Served, reason: str, n: int) -> Wait | None:
    """One date at a time: asking about several at once would read all that lies between them."""
    span = dates.span_waiting(tx, reason)
    row = dates.get(tx, span[0]) if span is not None else None
    sentence = waiting_on(tx, service.core, [row]) if row is not None else {}
    return next((Wait(reason=reason, n=n, date=date, sentence=text) for date, text in sentence.items()), None)


def picture_version(service: Served) -> str:
    """Differs whenever the grid would look different: a date has moved, a job has begun or ended."""
    with service.core.db.read() as tx:
        return "-".join((reading.calendar_version(tx), *(str(row.id) for row in attempts.running(tx))))


def picture(service: Served, kinds: Kinds) -> Picture:
    """The calendar grid of all dates."""
    version = picture_version(service)
    with service.core.db.read() as tx:
        cells = reading.calendar(tx)
        covered = attempts.covered(tx, [row.id for row in attempts.running(tx)])
    running = {date for own in covered.values() for date in own}
    return Picture(version, grid.rows(cells, service.pipeline.seasons, kinds, running))


def path(told: Date) -> set[str]:
    """The states that a date went through since it was put to `pending` the last time."""
    passed: set[str] = set()
    for move in told.transitions:
        passed = set() if move.target == PENDING else passed | {move.source}
    return passed


def by_phase(told: Date) -> list[tuple[str, list[Check]]]:
    """The verdicts of a date, phase by phase, in the pipeline's order."""
    return [(phase, list(own)) for phase, own in groupby(told.processors, lambda one: one.phase or "")]


def in_short(plan: Plan) -> Iterator[tuple[str, list[Work]]]:
    """By phase, the jobs of each processor, in the order in which they would run."""
    for phase in plan.phases:
        steps: dict[str, list[Step]] = {}
        for step in phase.steps:
            steps.setdefault(step.processor, []).append(step)
        yield (
            phase.phase,
            [
                Work(first=own[0], jobs=len(own), seconds=_together([step.seconds for step in own]))
                for own in steps.values()
            ],
        )


def _together(seconds: Sequence[float | None]) -> float | None:
    known = [one for one in seconds if one is not None]
    return sum(known) if len(known) == len(seconds) else None
