"""Every date walked through its states in thought: what would run, if every job did what it should.

The rules are the engine's own, `decide` and the lookback. What they do not let through is told instead.
"""

from __future__ import annotations

import bisect
import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from backfilld.daemon.engine import lookback
from backfilld.daemon.reports.snapshot import (
    MissingUpstream,
    Snapshot,
    assume_complete,
    blocked_reason,
    evaluate_gate,
    missing_upstream_of,
)
from backfilld.state.pipeline.phase import Phase, Stage
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.records import CheckRow, Sources
from backfilld.state.rules.calendar import Day
from backfilld.state.rules.gates import Advance, Decision, Fail, Start, Wait, WaitReason, Waiver
from backfilld.state.rules.machine import Machine
from backfilld.state.rules.verdict import Verdict

_WORDS = {Verdict.NEVER_RAN: "never ran", Verdict.NO_DATA: "ran, but there is no data"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One processor to be run for one date."""

    date: dt.date
    processor: str
    stage: Stage
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocker:
    """Where a date gets no further."""

    date: dt.date
    phase: str
    processors: tuple[str, ...]
    reason: str


@dataclass(slots=True)
class SimulationResult:
    """What becomes of all dates."""

    tasks: list[Task] = field(default_factory=list)
    stops: list[Blocker] = field(default_factory=list)
    waivers: list[tuple[dt.date, str, Waiver]] = field(default_factory=list)
    checks: dict[dt.date, dict[str, CheckRow]] = field(default_factory=dict)
    """As they will be."""


def simulate(
    pipeline: Pipeline, seen: Snapshot, sources: Sources, unusable: Mapping[str, str]
) -> SimulationResult:
    """Walk the dates of the range, oldest first; `unusable` says why a processor's job cannot start."""
    walker = _Walker(pipeline, seen, sources, unusable)
    for day in seen.expected():
        walker.go(day)
    return walker.outlook


class _Walker:
    def __init__(
        self, pipeline: Pipeline, seen: Snapshot, sources: Sources, unusable: Mapping[str, str]
    ) -> None:
        self._pipeline = pipeline
        self._machine = Machine(pipeline)
        self._seen = seen
        self._sources = sources
        self._unusable = unusable
        self._holes = {phase.name: self._known_holes(phase) for phase in pipeline.phase}
        self.outlook = SimulationResult()

    def go(self, day: Day) -> None:
        """One date through its states, as far as it gets."""
        checks = dict(self._seen.checks[day.date])
        self.outlook.checks[day.date] = checks
        index = 0
        while index < len(self._pipeline.stages):
            stage = self._pipeline.stages[index]
            last = self._pass(stage, day, checks, self._hole(stage, day))
            if not isinstance(last, Advance):
                break
            index = self._machine.after(stage, day)
        self._note_holes(checks)

    def _pass(
        self, stage: Stage, day: Day, checks: dict[str, CheckRow], missing: MissingUpstream | None
    ) -> Decision:
        """Run in thought what the state needs, until its gate opens or nothing helps."""
        while True:
            decision = self._decide(stage, checks, str(missing) if missing else "")
            if isinstance(decision, Start):
                self._run(stage, checks, decision)
                continue
            if isinstance(decision, Advance):
                self._leave(day, checks, decision)
            else:
                self._stop(stage, day, checks, decision)
            return decision

    def _decide(self, stage: Stage, checks: Mapping[str, CheckRow], missing: str) -> Decision:
        return evaluate_gate(
            self._pipeline,
            stage,
            checks,
            now=self._seen.asked_at,
            sources=self._sources,
            held=self._unusable,
            missing_upstream=missing,
        )

    def _run(self, stage: Stage, checks: dict[str, CheckRow], decision: Start) -> None:
        for name in decision.processors:
            check = checks[name]
            self.outlook.tasks.append(
                Task(date=check.date, processor=name, stage=stage, reason=_reason(check))
            )
            checks[name] = assume_complete(check)

    def _leave(self, day: Day, checks: dict[str, CheckRow], decision: Advance) -> None:
        for name, waiver in decision.waivers.items():
            self.outlook.waivers.append((day.date, name, waiver))
            checks[name] = replace(checks[name], satisfied=True, waiver_reason=waiver.reason)

    def _stop(self, stage: Stage, day: Day, checks: Mapping[str, CheckRow], decision: Wait | Fail) -> None:
        barred = isinstance(decision, Wait) and decision.waiting is WaitReason.EARLIER_DATE
        phase = self._pipeline.stages[self._machine.after(stage, day)].phase if barred else stage.phase
        lacking = tuple(p.name for p in phase.processor if not checks[p.name].satisfied)
        self.outlook.stops.append(
            Blocker(date=day.date, phase=phase.name, processors=lacking, reason=blocked_reason(decision))
        )

    def _hole(self, stage: Stage, day: Day) -> MissingUpstream | None:
        """The earliest date that bars the way into the next phase, as the engine would find it."""
        window = lookback.window(self._pipeline, self._machine, stage, day)
        if window is None:
            return None
        missing_upstream = self._holes[window.entered.name]
        at = bisect.bisect_left(missing_upstream, window.start, key=lambda missing: missing.date)
        return (
            missing_upstream[at]
            if at < len(missing_upstream) and missing_upstream[at].date < window.end
            else None
        )

    def _known_holes(self, phase: Phase) -> list[MissingUpstream]:
        before = lookback.phase_before(self._pipeline, phase)
        return self._seen.holes_before(before.processor, dt.date.min) if before else []

    def _note_holes(self, checks: Mapping[str, CheckRow]) -> None:
        for phase in self._pipeline.phase:
            before = lookback.phase_before(self._pipeline, phase)
            if before is not None:
                self._holes[phase.name] += missing_upstream_of(checks, [p.name for p in before.processor])


def _reason(check: CheckRow) -> str:
    words = _WORDS.get(check.verdict, check.verdict.value)
    return f"{words}: {check.reason}" if check.reason else words
