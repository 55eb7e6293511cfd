"""Progress, rate and estimated end of everything, of one backfill or of one season.

That of everything comes from kept counts and the latest ends: its cost does not grow with the dates.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from backfilld.daemon.engine import daily_budgets
from backfilld.daemon.engine.context import EngineContext
from backfilld.daemon.engine.daily_budgets import Budget
from backfilld.daemon.reports.pace import OLDEST_SECONDS, Pace, Work
from backfilld.daemon.reports.waiting_on import reason_under_holds
from backfilld.state.formatting import pluralize
from backfilld.state.pipeline.phase import DONE, FAILED
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.records import AttemptRow, HoldRow
from backfilld.state.rules.gates import WaitReason
from backfilld.state.rules.state_machine import FINAL
from backfilld.state.rules.verdict import Verdict
from backfilld.state.store import attempts, holds, pace_and_calendar_queries, state_counts
from backfilld.state.store.backfill_or_season_scope import ALL_DATES, DateScope
from backfilld.state.store.database import Transaction
from backfilld.state.store.state_counts import CheckCount, DateCount

SAMPLE = 2000
"""The rate uses at most this many of the latest ends of dates, and of attempts."""
_WITHOUT_PACE = (
    WaitReason.EARLIER_DATE,
    WaitReason.HELD,
    WaitReason.WINDOW,
    WaitReason.UNSELECTED,
    WaitReason.PERIOD,
    WaitReason.WAREHOUSE,
)
"""Waits that end at no pace: where all dates that are left wait so, there is no estimate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessorProgress:
    """How many dates of a processor are satisfied, of those that need it."""

    name: str
    phase: str
    satisfied: int
    waived: int
    """Those of the satisfied ones that pass with a waiver."""
    total: int
    verdicts: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeasonProgress:
    """How many dates of a season are done and failed."""

    name: str
    total: int
    done: int
    failed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A running attempt with its dates."""

    attempt: AttemptRow
    dates: Sequence[dt.date]


@dataclass(frozen=True, slots=True, kw_only=True)
class Eta:
    """Dates per hour and estimated end in epoch seconds, None while unknown; `method` says how or why."""

    rate_per_hour: float | None
    at: float | None
    method: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Overall status at `now`."""

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
        """How many dates were requested."""
        return sum(self.states.values())

    @property
    def live(self) -> int:
        """How many dates have not ended."""
        return sum(n for state, n in self.states.items() if state not in FINAL)

    @property
    def paused(self) -> bool:
        """Whether everything is paused."""
        return any(hold.kind == "all" for hold in self.holds)

    def of_phase(self, phase: str) -> tuple[int, int]:
        """Satisfied and needed (processor, date) pairs of a phase."""
        processors = [p for p in self.processors if p.phase == phase]
        return sum(p.satisfied for p in processors), sum(p.total for p in processors)

    def ratio(self, phase: str) -> float:
        """The share of a phase that is satisfied, 0 to 1; 1 where nothing is needed."""
        satisfied, total = self.of_phase(phase)
        return satisfied / total if total else 1.0


def progress(tx: Transaction, context: EngineContext, scope: DateScope = ALL_DATES) -> Progress:
    """Status now of the requested dates of a scope, each counted once; holds and budgets are those of all."""
    now = context.now()
    counts = state_counts.dates(tx, scope)
    states = _sums((c.state, c.n) for c in counts)
    active_holds = holds.all_holds(tx)
    return Progress(
        now=now,
        states=states,
        outcomes=_sums((c.outcome, c.n) for c in counts if c.outcome),
        waiting=_sums(
            (reason_under_holds(reason, active_holds), n) for reason, n in _waiting(counts).items()
        ),
        processors=_processors(
            context.pipeline,
            state_counts.checks(tx, scope),
            state_counts.pending_without_check(tx, list(context.pipeline.processors), scope),
        ),
        seasons=_seasons(counts),
        running=running(tx, scope),
        holds=active_holds,
        budgets=daily_budgets.current_budgets(tx, context.pipeline, now),
        last_progress_at=pace_and_calendar_queries.last_progress(tx, scope),
        regressed=state_counts.regressed(tx, scope),
        stale=state_counts.stale(tx, scope),
        eta=_estimated_end(tx, counts, active_holds, scope, now),
    )


def estimated_end(tx: Transaction, context: EngineContext, scope: DateScope) -> Eta:
    """The rate and the estimated end of the dates of a scope."""
    counts, active_holds = state_counts.dates(tx, scope), holds.all_holds(tx)
    return _estimated_end(tx, counts, active_holds, scope, context.now())


def _estimated_end(
    tx: Transaction, counts: Sequence[DateCount], holds: Sequence[HoldRow], scope: DateScope, now: float
) -> Eta:
    return estimate(
        _pace(tx, scope, now),
        live=sum(c.n for c in counts if c.state not in FINAL),
        waiting=_waiting(counts),
        holds=holds,
        now=now,
    )


def _pace(tx: Transaction, scope: DateScope, now: float) -> Pace:
    """How fast the dates of a scope end while jobs run, by the latest ends."""
    jobs = pace_and_calendar_queries.latest_jobs(tx, now - OLDEST_SECONDS, now, SAMPLE, scope)
    since = min(end for _, end in jobs) if len(jobs) == SAMPLE else now - OLDEST_SECONDS
    ends, more = pace_and_calendar_queries.latest_ends(tx, since, SAMPLE, scope)
    return Work(ends, jobs, now).pace(now, more=more or len(jobs) == SAMPLE)


def _waiting(counts: Sequence[DateCount]) -> dict[str, int]:
    """How many live dates wait for what."""
    return _sums((c.waiting, c.n) for c in counts if c.waiting and c.state not in FINAL)


def estimate(
    pace: Pace, *, live: int, waiting: Mapping[str, int], holds: Sequence[HoldRow], now: float
) -> Eta:
    """The rate, and the end of the live dates at this rate. `waiting`: how many of them wait for what."""
    rate = pace.per_hour
    why = _why_unknown({hold.kind: hold for hold in holds}, live, waiting)
    if why or rate is None:
        return Eta(rate_per_hour=rate, at=None, method=why or f"unknown: {pace.basis}")
    paused = waiting.get(WaitReason.PAUSED, 0)
    left = live - paused
    method = f"{pluralize(left, 'date')} left at {rate:.1f} an hour: {pace.basis}{_not_counted(paused)}"
    return Eta(rate_per_hour=rate, at=now + left / rate * 3600, method=method)


def _not_counted(paused: int) -> str:
    """That dates are left beside the counted ones; empty without any."""
    return f"; {pluralize(paused, 'date')} of paused or stopped backfills not counted" if paused else ""


def _why_unknown(by_kind: Mapping[str, HoldRow], live: int, waiting: Mapping[str, int]) -> str:
    """Why the rate does not give an end; empty where it does."""
    paused = waiting.get(WaitReason.PAUSED, 0)
    if not live:
        return "nothing is left to do"
    if "all" in by_kind:
        return "unknown while everything is paused"
    if "warehouse" in by_kind:
        return f"unknown while the warehouse cannot be asked: {by_kind['warehouse'].reason}"
    if live == paused:
        return f"unknown: {pluralize(paused, 'date')} left, all of paused or stopped backfills"
    waits = {reason: waiting.get(reason, 0) for reason in _WITHOUT_PACE}
    if live - paused <= sum(waits.values()):
        left = f"{pluralize(live - paused, 'date')} left, all {_stuck_on(by_kind, waits)}"
        return f"unknown: {left}{_not_counted(paused)}"
    return ""


def _stuck_on(by_kind: Mapping[str, HoldRow], waits: Mapping[WaitReason, int]) -> str:
    """What keeps all dates that are left back, by the wait that most needs a person or a time."""
    held, behind_earlier = waits[WaitReason.HELD], waits[WaitReason.EARLIER_DATE]
    others = ", held or behind an earlier date" if behind_earlier or held else ""
    if waits[WaitReason.WINDOW]:
        return f"behind a closed window{others}"
    if waits[WaitReason.UNSELECTED]:
        return f"without an output that no backfill has selected{others}"
    if waits[WaitReason.PERIOD]:
        return f"behind other dates of their week or month{others}"
    if waits[WaitReason.WAREHOUSE]:
        return f"without an answer of their warehouse or check command{others}"
    if not held:
        return "behind an earlier date that is not satisfied"
    hold = by_kind.get("processor") or by_kind.get("table")
    behind = ", or behind one that is" if behind_earlier else ""
    return f"held{behind}{f': {hold.text}' if hold else ''}"


def _sums(pairs: Iterable[tuple[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for key, n in pairs:
        total[key] += n
    return dict(total)


def _processors(
    pipeline: Pipeline, counts: Sequence[CheckCount], without: Mapping[str, int]
) -> tuple[ProcessorProgress, ...]:
    """A date has checks since its admission; each pending date without one counts as one more."""
    by_name: dict[str, list[CheckCount]] = defaultdict(list)
    for count in counts:
        by_name[count.processor].append(count)
    return tuple(
        ProcessorProgress(
            name=name,
            phase=pipeline.stage_of[name].phase.name,
            satisfied=sum(c.n for c in by_name[name] if c.satisfied),
            waived=sum(c.n for c in by_name[name] if c.satisfied and not Verdict(c.verdict).satisfied),
            total=sum(c.n for c in by_name[name]) + without[name],
            verdicts=_sums((c.verdict, c.n) for c in by_name[name]),
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


def running(tx: Transaction, scope: DateScope = ALL_DATES) -> tuple[Running, ...]:
    """The running attempts that have a date of a scope, oldest first."""
    rows = attempts.running(tx)
    covered = attempts.covered(tx, [attempt.id for attempt in rows])
    if scope != ALL_DATES:
        inside = scope.among(tx, {date for dates in covered.values() for date in dates})
        rows = [attempt for attempt in rows if not inside.isdisjoint(covered[attempt.id])]
    return tuple(Running(attempt=attempt, dates=covered[attempt.id]) for attempt in rows)
