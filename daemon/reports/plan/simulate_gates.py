"""Simulate the engine over a range: what would run if every job completed its output.

The rules are the engine's: `decide` and the graph of needs. A date that they do not let through is a blocker.
"""

from __future__ import annotations

import bisect
import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from backfilld.daemon.engine.partly_selected_dates import needed_now, waited_for
from backfilld.daemon.reports.current_verdicts import (
    MissingUpstream,
    Snapshot,
    assume_complete,
    blocked_reason,
    evaluate_gate,
    missing_upstream_of,
)
from backfilld.daemon.reports.plan.incomplete_periods import incomplete_periods
from backfilld.daemon.reports.plan.selection_and_force_options import RequestOptions
from backfilld.state.formatting import join_truncated
from backfilld.state.pipeline.phase import Stage
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.pipeline.processor import Processor
from backfilld.state.records import CheckRow, RunMode
from backfilld.state.rules.gates import Advance, Decision, Fail, GateContext, Start, Wait, WaitReason, Waiver
from backfilld.state.rules.needs_graph import Need, Pair
from backfilld.state.rules.season_calendar import Day
from backfilld.state.rules.state_machine import Machine
from backfilld.state.rules.verdict import Verdict

_NAMED = 5
"""How many jobs that cannot start a reason names before it counts the rest."""
_WORDS = {Verdict.NEVER_RAN: "never ran", Verdict.NO_DATA: "ran, but there is no data"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One processor to run for one date."""

    date: dt.date
    processor: str
    stage: Stage
    reason: str
    may_be_complete: bool = False
    """Whether it runs only if its rows fail the comparison with an output that runs before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocker:
    """The phase that a date cannot pass, and why."""

    date: dt.date
    phase: str
    processors: tuple[str, ...]
    reason: str


@dataclass(slots=True)
class SimulationResult:
    """The outcome for all dates of the range."""

    tasks: list[Task] = field(default_factory=list)
    blockers: list[Blocker] = field(default_factory=list)
    waivers: list[tuple[dt.date, str, Waiver]] = field(default_factory=list)
    checks: dict[dt.date, dict[str, CheckRow]] = field(default_factory=dict)
    """The checks as they will be, by date and processor."""


def simulate(
    pipeline: Pipeline,
    snapshot: Snapshot,
    options: RequestOptions,
    unusable: Mapping[str, str],
    done: Collection[dt.date] = (),
) -> SimulationResult:
    """Simulate the dates of the range, oldest first; `unusable` says why a processor's job cannot start.

    Of the `done` dates, a request enqueues those that are forced, or whose selected outputs are missing.
    Where a period cannot run as a whole, the dates are simulated again without it.
    """
    held: dict[tuple[str, dt.date], str] = {}
    while True:
        simulator = _Simulator(pipeline, snapshot, options, unusable, held)
        for day in snapshot.expected():
            if day.date in done and simulator.is_already_done(day):
                simulator.leave_out(day)
            else:
                simulator.run_date(day)
        result = simulator.result
        planned = [(task.processor, task.date) for task in result.tasks]
        blocked = {blocker.date: blocker.reason for blocker in result.blockers}
        incomplete = incomplete_periods(pipeline, snapshot, planned, result.checks, blocked)
        if not incomplete:
            return result
        held |= incomplete


class _Simulator:
    def __init__(
        self,
        pipeline: Pipeline,
        snapshot: Snapshot,
        options: RequestOptions,
        unusable: Mapping[str, str],
        held: Mapping[tuple[str, dt.date], str],
    ) -> None:
        self._unusable = unusable
        self._held: dict[dt.date, dict[str, str]] = defaultdict(dict)
        for (name, date), reason in held.items():
            self._held[date][name] = reason
        self._pipeline = pipeline
        self._machine = Machine(pipeline)
        self._seen = snapshot
        self._options = options
        self._context = GateContext(
            now=snapshot.asked_at,
            entered_at=snapshot.asked_at,
            sources=options.sources,
            selected=options.selected,
        )
        self._graph = pipeline.needs.starting(snapshot.start)
        self._missing: dict[str, list[MissingUpstream]] = defaultdict(list)
        for missing in snapshot.missing_before(pipeline.processors.values(), dt.date.min):
            self._missing[missing.processor].append(missing)
        self._compared_anew: dict[Pair, str] = {}
        """The outputs whose rows cannot be compared before the plan has run, with the reason."""
        self.result = SimulationResult()

    def is_already_done(self, day: Day) -> bool:
        """Whether a request leaves a done date as it is: each selected output is satisfied or was waived."""
        names = [name for name in self._pipeline.processors if self._options.selects(name)]
        selected = [self._seen.checks[day.date][name] for name in names]
        return not self._options.force and all(check.satisfied or check.waived_by for check in selected)

    def leave_out(self, day: Day) -> None:
        """Take the outputs of a date as they are. Later dates may be missing some of them."""
        self.result.checks[day.date] = dict(self._seen.checks[day.date])
        self._record_missing(self.result.checks[day.date])

    def run_date(self, day: Day) -> None:
        """Take one date through its states, as far as it gets."""
        needed = needed_now(self._pipeline, self._context.selected, day)
        held = {**self._unusable, **self._held[day.date]}
        self._context = replace(self._context, needed=needed, held=held)
        checks = {name: self._tried(check) for name, check in self._seen.checks[day.date].items()}
        if self._options.force:
            checks = {name: self._forced(check) for name, check in checks.items()}
        self.result.checks[day.date] = checks
        index = 0
        while index < len(self._pipeline.stages):
            stage = self._pipeline.stages[index]
            last = self._run_stage(stage, day, checks)
            if not isinstance(last, Advance):
                break
            index = self._machine.after(stage, day)
        self._record_missing(checks)

    def _run_stage(self, stage: Stage, day: Day, checks: dict[str, CheckRow]) -> Decision:
        """Complete what the state needs, until its gate opens or no job helps."""
        missing = self._missing_of(stage, day)
        entry = self._entry_missing(stage, day)
        while True:
            self._compare_anew(stage, day, checks)
            decision = self._decide(stage, checks, missing, entry)
            if isinstance(decision, Start):
                self._complete(stage, checks, decision)
                continue
            if isinstance(decision, Advance) or (isinstance(decision, Wait) and decision.is_satisfied):
                self._record_waivers(day, checks, decision)
            if not isinstance(decision, Advance):
                self._record_blocker(stage, day, checks, decision)
            return decision

    def _compare_anew(self, stage: Stage, day: Day, checks: dict[str, CheckRow]) -> None:
        """Plan a run of what could not be compared with a reference that now runs first."""
        before = self._seen.checks[day.date]
        for name in [p.name for p in stage.processors if p.name in self._pipeline.references]:
            reference, check = self._pipeline.references[name], checks[name]
            runs_first = checks[reference].verdict is Verdict.COMPLETE and not before[reference].satisfied
            if runs_first and check.verdict is Verdict.UNKNOWN and check.rows is not None:
                reason = f"is compared with {reference}, which runs first"
                self._compared_anew[day.date, name] = reason
                checks[name] = check._replace(verdict=Verdict.PARTIAL, reason=reason)

    def _decide(
        self, stage: Stage, checks: Mapping[str, CheckRow], missing: Mapping[str, str], entry: str
    ) -> Decision:
        context = replace(self._context, missing_upstream=missing, blocks_entry=entry)
        return evaluate_gate(self._pipeline, stage, checks, context)

    def _complete(self, stage: Stage, checks: dict[str, CheckRow], decision: Start) -> None:
        for name in decision.processors:
            check = checks[name]
            before = self._compared_anew.get((check.date, name))
            reason = f"may run: {before}" if before else _reason(check)
            self.result.tasks.append(
                Task(
                    date=check.date,
                    processor=name,
                    stage=stage,
                    reason=reason,
                    may_be_complete=before is not None,
                )
            )
            checks[name] = assume_complete(check)._replace(mode=RunMode.NORMAL)

    def _record_waivers(self, day: Day, checks: dict[str, CheckRow], decision: Advance | Wait) -> None:
        for name, waiver in decision.waivers.items():
            self.result.waivers.append((day.date, name, waiver))
            checks[name] = checks[name]._replace(satisfied=True, waiver_reason=waiver.reason)

    def _record_blocker(
        self, stage: Stage, day: Day, checks: Mapping[str, CheckRow], decision: Wait | Fail
    ) -> None:
        entry = self._entry_missing(stage, day)
        at_entry = bool(entry) and isinstance(decision, Wait) and decision.text == entry
        phase = self._following(stage, day)[0].phase if at_entry else stage.phase
        missing = tuple(p.name for p in phase.processor if not checks[p.name].satisfied)
        reason = blocked_reason(decision)
        unusable = [self._unusable[name] for name in missing if name in self._unusable]
        if reason in unusable:
            reason = join_truncated(unusable, _NAMED, "; ")
        if isinstance(decision, Wait) and decision.waiting is WaitReason.UNSELECTED:
            names = [name for name in missing if name in self._context.needed]
            reason = f"not selected and not satisfied: {', '.join(names)}; --with-upstream adds it"
        self.result.blockers.append(
            Blocker(date=day.date, phase=phase.name, processors=missing, reason=reason)
        )

    def _tried(self, check: CheckRow) -> CheckRow:
        """A check of which the request keeps no earlier waiver, where it is selected."""
        if check.mode != RunMode.WAIVED or not self._options.selects(check.processor):
            return check
        return check._replace(mode=RunMode.NORMAL)

    def _forced(self, check: CheckRow) -> CheckRow:
        """A check that is to be rewritten once, where it is selected."""
        if not self._options.selects(check.processor):
            return check
        return check._replace(mode=RunMode.FORCE, attempt_count=0, accepted_reason="", waiver_reason="")

    def _following(self, stage: Stage, day: Day) -> Sequence[Stage]:
        return self._pipeline.stages[self._machine.after(stage, day) :][:1]

    def _missing_of(self, stage: Stage, day: Day) -> dict[str, str]:
        """The processors of a state that need an earlier output which is missing, with the text about it."""
        found: dict[str, str] = {}
        for processor in self._waited_for(stage):
            needs = self._graph.earlier_of(processor.name) if self._pipeline.expects(processor, day) else ()
            missing = [m for need in needs if (m := self._first_missing(need, day.date))]
            if missing:
                found[processor.name] = str(min(missing, key=lambda m: m.date))
        return found

    def _entry_missing(self, stage: Stage, day: Day) -> str:
        """What keeps every processor of the next state back; empty where one of them may start."""
        following = self._following(stage, day)
        if not following:
            return ""
        missing = self._missing_of(following[0], day)
        return next(iter(missing.values()), "") if len(missing) == len(self._waited_for(following[0])) else ""

    def _waited_for(self, stage: Stage) -> list[Processor]:
        return waited_for(stage.processors, self._context.selected, self._context.needed)

    def _first_missing(self, need: Need, date: dt.date) -> MissingUpstream | None:
        start, first = self._graph.start(need, date), None
        for name in need.of:
            known = self._missing[name]
            at = bisect.bisect_left(known, start, key=lambda missing: missing.date)
            if at < len(known) and known[at].date < date and (first is None or known[at].date < first.date):
                first = known[at]
        return first

    def _record_missing(self, checks: Mapping[str, CheckRow]) -> None:
        for missing in missing_upstream_of(checks, self._pipeline.processors):
            self._missing[missing.processor].append(missing)


def _reason(check: CheckRow) -> str:
    if check.awaits_rewrite and check.verdict is Verdict.COMPLETE:
        return "complete: forced"
    words = _WORDS.get(check.verdict, check.verdict.value)
    return f"{words}: {check.reason}" if check.reason else words
