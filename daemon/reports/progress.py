"""How far everything is, how fast it goes and when it may be done.

All of it comes from tallies and the latest ends, so that it costs the same however many dates there are.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from backfilld.daemon.engine import budgets
from backfilld.daemon.engine.budgets import Budget
from backfilld.daemon.engine.context import EngineContext
from backfilld.state.formatting import pluralize
from backfilld.state.pipeline.phase import DONE, FAILED, PENDING
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.records import AttemptRow, HoldRow
from backfilld.state.rules.gates import WaitReason
from backfilld.state.rules.machine import FINAL
from backfilld.state.store import attempts, counters, holds, queries
from backfilld.state.store.counters import CheckCount, DateCount
from backfilld.state.store.database import Transaction
from backfilld.state.store.queries import Pace

WINDOW_SECONDS = 3600.0
"""How far back the rate looks."""
SAMPLE = 2000
"""How many ends the rate looks at, at most."""
SHORTEST_SECONDS = 60.0
"""A rate over less than this says nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessorProgress:
    """How many dates a processor has satisfied, of those that are known to need it."""

    name: str
    phase: str
    satisfied: int
    total: int
    verdicts: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeasonProgress:
    """How many dates of a season have ended, and how."""

    name: str
    total: int
    done: int
    failed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """An attempt under way with the dates it covers."""

    attempt: AttemptRow
    dates: Sequence[dt.date]


@dataclass(frozen=True, slots=True, kw_only=True)
class Eta:
    """Dates per hour and the time of the end, each None while nobody can tell; `method` says how or why."""

    rate_per_hour: float | None
    at: float | None
    method: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How everything stands at `now`."""

    now: float
    states: Mapping[str, int]
    outcomes: Mapping[str, int]
    waiting: Mapping[str, int]
    processors: Sequence[ProcessorProgress]
    seasons: Sequence[SeasonProgress]
    running: Sequence[Running]
    holds: Sequence[HoldRow]
    budgets: Sequence[Budget]
    last_progress_at: float | None
    regressed: int
    stale: int
    eta: Eta

    @property
    def total(self) -> int:
        """All dates that were ever enqueued."""
        return sum(self.states.values())

    @property
    def live(self) -> int:
        """Dates that have not ended."""
        return sum(n for state, n in self.states.items() if state not in FINAL)

    @property
    def paused(self) -> bool:
        """Whether everything is paused."""
        return any(hold.kind == "all" for hold in self.holds)

    def of_phase(self, phase: str) -> tuple[int, int]:
        """Satisfied and needed (processor, date) pairs of a phase."""
        own = [p for p in self.processors if p.phase == phase]
        return sum(p.satisfied for p in own), sum(p.total for p in own)

    def ratio(self, phase: str) -> float:
        """The share of a phase that is satisfied, 0 to 1; 1 where nothing is needed."""
        satisfied, total = self.of_phase(phase)
        return satisfied / total if total else 1.0


def progress(tx: Transaction, context: EngineContext) -> Progress:
    """How everything stands now."""
    now = context.now()
    counts = counters.dates(tx)
    states = _sums((c.state, c.n) for c in counts)
    waiting = _sums((c.waiting, c.n) for c in counts if c.waiting and c.state not in FINAL)
    placed = holds.all_holds(tx)
    live = sum(n for state, n in states.items() if state not in FINAL)
    paused = waiting.get(WaitReason.PAUSED, 0)
    return Progress(
        now=now,
        states=states,
        outcomes=_sums((c.outcome, c.n) for c in counts if c.outcome),
        waiting=waiting,
        processors=_processors(context.pipeline, counters.checks(tx), states.get(PENDING, 0)),
        seasons=_seasons(counts),
        running=running(tx),
        holds=placed,
        budgets=budgets.current_budgets(tx, context.pipeline, now),
        last_progress_at=queries.last_progress(tx),
        regressed=counters.regressed(tx),
        stale=counters.stale(tx),
        eta=estimate(
            queries.pace(tx, now - WINDOW_SECONDS, SAMPLE),
            live=live,
            paused=paused,
            barred=waiting.get(WaitReason.EARLIER_DATE, 0),
            holds=placed,
            now=now,
        ),
    )


def estimate(
    pace: Pace, *, live: int, paused: int, holds: Sequence[HoldRow], now: float, barred: int = 0
) -> Eta:
    """The rate, and when the live dates will have ended if it stays as it is.

    `paused` of them belong to paused or stopped backfills, `barred` wait for an earlier date.
    """
    rate, basis = _rate(pace, now)
    why = _untellable({hold.kind: hold for hold in holds}, live=live, paused=paused, barred=barred)
    if why or rate is None:
        return Eta(rate_per_hour=rate, at=None, method=why or f"unknown: {basis}")
    left = live - paused
    beside = f"; {pluralize(paused, 'date')} of paused or stopped backfills not counted" if paused else ""
    method = f"{pluralize(left, 'date')} left at {rate:.1f} an hour: {basis}{beside}"
    return Eta(rate_per_hour=rate, at=now + left / rate * 3600, method=method)


def _untellable(held: Mapping[str, HoldRow], *, live: int, paused: int, barred: int) -> str:
    """Why the rate so far says nothing of the end, or empty."""
    if not live:
        return "nothing is left to do"
    if "all" in held:
        return "unknown while everything is paused"
    if "warehouse" in held:
        return f"unknown while the warehouse cannot be asked: {held['warehouse'].reason}"
    if live == paused:
        return f"unknown: {pluralize(paused, 'date')} left, all of paused or stopped backfills"
    if live - paused <= barred:
        left = pluralize(live - paused, "date")
        return f"unknown: {left} left, all behind an earlier date that is not satisfied"
    return ""


def _rate(pace: Pace, now: float) -> tuple[float | None, str]:
    """Dates per hour since the first end that is looked at, and on what it rests or why there is none."""
    if pace.ended < 2 or pace.first_at is None:
        return None, "fewer than two dates have ended within the last hour"
    span = now - pace.first_at
    if span < SHORTEST_SECONDS:
        return None, "the first date ended less than a minute ago"
    since = pace.ended - 1
    rate = since / span * 3600
    if pace.more:
        return rate, f"the latest {pluralize(since, 'date')} ended within {_minutes(span)}"
    if span >= WINDOW_SECONDS - SHORTEST_SECONDS:
        return rate, f"{pluralize(since, 'date')} ended within the last hour"
    return rate, f"{pluralize(since, 'date')} ended since the first end {_minutes(span)} ago"


def _minutes(seconds: float) -> str:
    minutes = max(round(seconds / 60), 1)
    return "1 minute" if minutes == 1 else f"{minutes} minutes"


def _sums(pairs: Iterable[tuple[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for key, n in pairs:
        total[key] += n
    return dict(total)


def _processors(
    pipeline: Pipeline, counts: Sequence[CheckCount], pending: int
) -> tuple[ProcessorProgress, ...]:
    """A date has checks from its admission on; the pending ones are still to come."""
    return tuple(
        ProcessorProgress(
            name=name,
            phase=pipeline.stage_of[name].phase.name,
            satisfied=sum(c.n for c in counts if c.processor == name and c.satisfied),
            total=sum(c.n for c in counts if c.processor == name) + pending,
            verdicts=_sums((c.verdict, c.n) for c in counts if c.processor == name),
        )
        for name in pipeline.processors
    )


def _seasons(counts: Sequence[DateCount]) -> tuple[SeasonProgress, ...]:
    return tuple(
        SeasonProgress(
            name=name,
            total=sum(c.n for c in counts if c.season == name),
            done=sum(c.n for c in counts if c.season == name and c.state == DONE),
            failed=sum(c.n for c in counts if c.season == name and c.state == FAILED),
        )
        for name in sorted({c.season for c in counts if c.season})
    )


def running(tx: Transaction) -> tuple[Running, ...]:
    """The attempts under way, oldest first."""
    under_way = attempts.running(tx)
    covered = attempts.covered(tx, [attempt.id for attempt in under_way])
    return tuple(Running(attempt=attempt, dates=covered[attempt.id]) for attempt in under_way)
