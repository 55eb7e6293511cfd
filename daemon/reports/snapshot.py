"""What the calendar and the warehouse say of a range of dates, judged as the engine judges it.

One question to the calendar and one to the warehouse, whatever the range. Validation, plan, quality and
preflight all start from the same survey, and need neither a daemon nor a state database.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from backfilld.daemon.engine import lookback
from backfilld.daemon.warehouses.adapter import Answers, Purpose, Wanted, Warehouse
from backfilld.state.pipeline.phase import Phase, Stage
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.pipeline.processor import Processor
from backfilld.state.records import CheckRow, RunMode, Sources
from backfilld.state.rules.calendar import Day
from backfilld.state.rules.gates import Advance, Decision, Fail, GateContext, Wait, WaitReason, decide
from backfilld.state.rules.judge import JudgeContext, Judgement, judge
from backfilld.state.rules.verdict import Evidence, Verdict

Known = Mapping[dt.date, Mapping[str, CheckRow]]
"""What a state database remembers, by date and processor: our own attempts, and what was accepted."""

Checks = Mapping[str, CheckRow]
"""The checks of one date by processor."""

_UNTOLD = {WaitReason.ATTEMPT: "an attempt that is under way"}
_NOT_ASKED = Evidence(error="the warehouse was not asked")


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingUpstream:
    """An earlier date that bars the way into a sequential phase."""

    date: dt.date
    processor: str
    verdict: Verdict
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.date} lacks {self.processor} ({self.verdict})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The dates from `start` to `end`, both included, and those before that they depend on."""

    start: dt.date
    end: dt.date
    asked_at: float
    days: Mapping[dt.date, Day]
    """Every date, from the start of the lookback on."""
    wanted: Wanted
    answers: Answers
    checks: Known = field(default_factory=dict)
    """The verdicts: of every processor for expected dates of the range, of those asked about before it."""

    def in_range(self) -> Iterator[Day]:
        """The days of the range, oldest first."""
        return (self.days[date] for date in _span(self.start, self.end))

    def expected(self) -> Iterator[Day]:
        """The days of the range on which something is expected."""
        return (day for day in self.in_range() if day.expected)

    def holes_before(self, processors: Iterable[Processor], since: dt.date) -> list[MissingUpstream]:
        """What the dates from `since` to before the range lack of some processors, oldest first."""
        names = [processor.name for processor in processors]
        early = sorted(date for date in self.checks if since <= date < self.start)
        return [missing for date in early for missing in missing_upstream_of(self.checks[date], names)]


def take_snapshot(
    pipeline: Pipeline,
    warehouse: Warehouse,
    start: dt.date,
    end: dt.date,
    *,
    now: float,
    known: Known | None = None,
    purpose: Purpose = "validation",
) -> Snapshot:
    """Ask about the dates from `start` to `end`, both included, and judge what comes back.

    Raises:
        WarehouseError: the calendar, or everything in the warehouse, could not be asked.
    """
    first, last = lookback.calendar_span(pipeline, start, end)
    counts = pipeline.seasons.counts_of(_span(first, last), warehouse.counts(first, last))
    days = {date: pipeline.seasons.day(date, known) for date, known in counts.items()}
    wanted = _wanted(pipeline, days, start)
    answers = warehouse.evidence(wanted, purpose=purpose) if wanted else {}
    bare = Snapshot(start=start, end=end, asked_at=now, days=days, wanted=wanted, answers=answers)
    return replace(bare, checks=_judged(pipeline, bare, known or {}))


def evaluate_gate(
    pipeline: Pipeline,
    stage: Stage,
    checks: Checks,
    *,
    now: float,
    sources: Sources = Sources.ALL,
    held: Mapping[str, str] | None = None,
    missing_upstream: str = "",
) -> Decision:
    """What the engine would decide about a date in `stage`, were these its checks now."""
    first_phase = stage.phase is pipeline.phase[0]
    facts = GateContext(
        now=now,
        entered_at=now,
        sources=sources,
        first_phase=first_phase,
        held=held or {},
        missing_upstream=missing_upstream,
    )
    return decide(stage, checks, facts)


def blocked_reason(decision: Wait | Fail) -> str:
    """Why a gate stays closed, in words."""
    if isinstance(decision, Fail):
        return decision.reason
    return decision.text or _UNTOLD.get(decision.waiting, f"the {decision.waiting}")


def closed_gates(pipeline: Pipeline, phase: Phase, seen: Snapshot) -> dict[dt.date, Decision]:
    """The first gate of the phase that would not open now, for each date of the range that has one."""
    stages = [stage for stage in pipeline.stages if stage.phase is phase]
    closed: dict[dt.date, Decision] = {}
    for day in seen.in_range():
        decisions = (
            evaluate_gate(pipeline, stage, seen.checks[day.date], now=seen.asked_at) for stage in stages
        )
        first = next((d for d in decisions if not isinstance(d, Advance)), None)
        if enters(pipeline, phase, day) and first is not None:
            closed[day.date] = first
    return closed


def missing_upstream_of(checks: Checks, names: Iterable[str]) -> Iterator[MissingUpstream]:
    """What a date lacks of some processors, as the lookback of a later date sees it."""
    for name in names:
        check = checks.get(name)
        if check is not None and not check.satisfied:
            yield MissingUpstream(date=check.date, processor=name, verdict=check.verdict, reason=check.reason)


def enters(pipeline: Pipeline, phase: Phase, day: Day) -> bool:
    """Whether a date goes through a phase at all, rather than being passed by it in its bootstrap."""
    first = next(stage for stage in pipeline.stages if stage.phase is phase)
    return day.expected and not pipeline.bypassed(first, day)


def assume_complete(check: CheckRow) -> CheckRow:
    """The check as it will be if its job does what it should."""
    return replace(check, verdict=Verdict.COMPLETE, satisfied=True, reason="", waiver_reason="")


def _span(start: dt.date, end: dt.date) -> Sequence[dt.date]:
    return [dt.date.fromordinal(number) for number in range(start.toordinal(), end.toordinal() + 1)]


def _wanted(pipeline: Pipeline, days: Mapping[dt.date, Day], start: dt.date) -> dict[str, list[dt.date]]:
    """What to ask: the range for every processor, the lookback for those of the phase before."""
    wanted: dict[str, set[dt.date]] = defaultdict(set)
    for processor in pipeline.processors.values():
        bootstrap = pipeline.bootstrap_days(processor)
        wanted[processor.name] = {
            date for date, day in days.items() if date >= start and _asks(day, bootstrap)
        }
    for phase in pipeline.phase:
        before = lookback.phase_before(pipeline, phase)
        entering = [day for day in days.values() if day.date >= start and enters(pipeline, phase, day)]
        if before is None or not entering:
            continue
        earliest = min(
            pipeline.seasons.lookback_start(day.date, pipeline.lookback(phase)) for day in entering
        )
        for processor in before.processor:
            bootstrap = pipeline.bootstrap_days(processor)
            window = (date for date, day in days.items() if date >= earliest and _asks(day, bootstrap))
            wanted[processor.name].update(window)
    return {name: sorted(dates) for name, dates in wanted.items() if dates}


def _asks(day: Day, bootstrap_days: int) -> bool:
    return day.expected and not day.in_bootstrap(bootstrap_days)


def _judged(pipeline: Pipeline, seen: Snapshot, known: Known) -> Known:
    asked = {(name, date) for name, dates in seen.wanted.items() for date in dates}
    checks: dict[dt.date, dict[str, CheckRow]] = defaultdict(dict)
    for date, day in seen.days.items():
        for name, processor in pipeline.processors.items():
            if date < seen.start and (name, date) not in asked:
                continue
            remembered = known.get(date, {}).get(name)
            about = JudgeContext(
                now=seen.asked_at,
                stale_after=pipeline.stale_after,
                bootstrap_days=pipeline.bootstrap_days(processor),
                last_attempt=remembered.last_attempt if remembered else None,
                previous_attempts=remembered.previous_attempts if remembered else (),
            )
            evidence = seen.answers.get((name, date), _NOT_ASKED)
            judgement = judge(evidence, processor.expect, day, about)
            checks[date][name] = _check(name, date, judgement, seen.asked_at, remembered)
    return dict(checks)


def _check(
    name: str, date: dt.date, judgement: Judgement, asked_at: float, remembered: CheckRow | None
) -> CheckRow:
    """A judgement in the shape that `decide` takes: nothing tried yet, what runs, what was accepted."""
    passed = remembered is not None and bool(remembered.accepted_reason or remembered.waived_by)
    return CheckRow(
        date=date,
        processor=name,
        verdict=judgement.verdict,
        satisfied=judgement.verdict.satisfied or passed,
        rows=judgement.rows,
        expected=judgement.expected,
        reason=judgement.reason,
        asked_at=asked_at,
        query_due_at=None,
        generation=0,
        attempt_count=0,
        retry_at=None,
        runnable=False,
        priority=0,
        mode=RunMode.NORMAL,
        attempt_id=remembered.attempt_id if remembered else None,
        last_attempt_started_at=None,
        last_attempt_ended_at=None,
        last_attempt_succeeded=False,
        last_attempt_detail="",
        waived_by=remembered.waived_by if remembered else "",
        waiver_reason=remembered.waiver_reason if remembered else "",
        accepted_by=remembered.accepted_by if remembered else "",
        accepted_reason=remembered.accepted_reason if remembered else "",
    )
