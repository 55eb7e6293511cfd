"""What a date does next, from the verdicts of its state: advance, run, wait or fail. Pure.

Every processor of the state gives one step of its own; the steps together give the decision.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial

from backfilld.state.formatting import pluralize
from backfilld.state.pipeline.models import Priority, Processor, Stage
from backfilld.state.records import CheckRow, RunMode, Sources
from backfilld.state.rules.machine import Outcome
from backfilld.state.rules.verdict import Verdict


class WaitReason(StrEnum):
    """What a live date can wait for: the closed set behind `waiting_on` and its metric."""

    ENGINE = "engine"
    """The engine's next turn."""
    CALENDAR = "calendar"
    """The calendar's answer, for the date or for those that it looks back at."""
    VERDICT = "verdict"
    """The answer to a question about its tables."""
    WAREHOUSE = "warehouse"
    """The next answer, as the last one was none: a table that is missing, denied or too slow."""
    SLOT = "slot"
    """A free slot: of `slots`, of its sequential phase, or of an output table's writers."""
    ATTEMPT = "attempt"
    """The end of a job of its own."""
    RETRY = "retry"
    """The end of a `backoff`."""
    EARLIER_DATE = "earlier_date"
    """An earlier date that has a hole."""
    OPEN_RUN = "open_run"
    """The end of somebody else's run, by the run history."""
    OTHER_PROCESSOR = "other_processor"
    """A processor that it names in `after`, or that may stand in."""
    HELD = "held"
    """A processor or table that is held: by the breaker, a budget or a spent quota."""
    PAUSED = "paused"
    """Its backfill, which is paused or was stopped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateContext:
    """What is true of a date, beside its verdicts, when it is decided upon."""

    now: float
    entered_at: float
    """As of when the evidence was taken that let the date into its state."""
    sources: Sources = Sources.ALL
    first_phase: bool = False
    paused: str = ""
    """Why nothing of this date may start, or empty."""
    held: Mapping[str, str] = field(default_factory=dict)
    """Processors that may not start, with the reason."""
    missing_upstream: str = ""
    """The earlier date that bars the way into the next, sequential phase, as a sentence; or empty."""


class WaivedBy(StrEnum):
    """Who lets a date pass although an output is not what it should be."""

    FALLBACK = "fallback"
    POLICY = "policy"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Waiver:
    """What a date goes without."""

    by: WaivedBy
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Advance:
    """The gate is satisfied, save for `gaps` by processor."""

    waivers: Mapping[str, Waiver] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Nothing can start now. `ask` names processors whose evidence is too old to act upon."""

    waiting: WaitReason
    text: str = ""
    until: float | None = None
    ask: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """These processors may start as soon as there is a slot; the rest waits as `wait` says."""

    processors: tuple[str, ...]
    wait: Wait


@dataclass(frozen=True, slots=True, kw_only=True)
class Fail:
    """The date cannot go on by itself."""

    outcome: Outcome
    reason: str


Decision = Advance | Start | Wait | Fail


class _Kind(StrEnum):
    SATISFIED = "satisfied"
    WAIVER = "waiver"
    ASK = "ask"
    RUN = "run"
    RUNNING = "running"
    WAIT = "wait"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class _Step:
    """What one processor of the state needs."""

    kind: _Kind
    text: str = ""
    waiting: WaitReason = WaitReason.VERDICT
    until: float | None = None
    outcome: Outcome = Outcome.EXHAUSTED
    by: WaivedBy = WaivedBy.POLICY


_PASSED = (_Kind.SATISFIED, _Kind.WAIVER)
_UNTOLD = (WaitReason.WAREHOUSE, WaitReason.OPEN_RUN)
"""Waits for the word of somebody who may never give it: what was accepted does not wait for it."""


def decide(stage: Stage, checks: Mapping[str, CheckRow], facts: GateContext) -> Decision:
    """Say what a date in `stage` does next. Total: there is a decision for whatever is known."""
    own = {p.name: _own_step(p, checks.get(p.name), facts) for p in stage.processors}
    steps = {p.name: _with_fallbacks(p, own) for p in stage.processors}
    steps = {p.name: _in_order(p, steps) for p in stage.processors}
    fails = [step for step in steps.values() if step.kind is _Kind.FAIL]
    if fails:
        return _fail(fails[0], steps)
    if all(step.kind in _PASSED for step in steps.values()):
        return _advance(steps, facts)
    return _go_on(steps, facts)


def _own_step(processor: Processor, check: CheckRow | None, facts: GateContext) -> _Step:
    """What a processor needs, were it alone."""
    if check is None:
        return _Step(_Kind.ASK)
    if check.attempt_id is not None:
        return _Step(_Kind.RUNNING)
    may_run = _may_run(processor, facts)
    step = _unanswered(check) or _settled(check, may_run)
    if check.accepted_reason and (step is None or step.waiting in _UNTOLD):
        return _accepted(check)
    if step is None:
        step = _to_run(processor, check, facts) if may_run else _not_run(processor, check, facts)
    return step


def _accepted(check: CheckRow) -> _Step:
    """What an operator accepted, whatever it shows, and be it that nobody can tell."""
    text = f"accepted by {check.accepted_by}: {check.accepted_reason}"
    return _Step(_Kind.WAIVER, text, by=WaivedBy.OPERATOR)


def _settled(check: CheckRow, may_run: bool) -> _Step | None:
    """The step of a processor that needs nothing more; a forced one that may runs once whatever it shows."""
    forced = (
        may_run
        and check.mode == RunMode.FORCE
        and check.attempt_count == 0
        and check.verdict is Verdict.COMPLETE
    )
    return _Step(_Kind.SATISFIED) if check.verdict.satisfied and not forced else None


def _unanswered(check: CheckRow) -> _Step | None:
    """The wait for the warehouse's word, for an open run to close, or for the warehouse to come back."""
    if check.verdict is Verdict.UNKNOWN and check.asked_at is not None and check.reason:
        return _Step(_Kind.WAIT, check.reason, WaitReason.WAREHOUSE)
    if check.verdict is Verdict.RUNNING and check.asked_at is not None:
        return _Step(_Kind.WAIT, f"an open run of {check.processor}: {check.reason}", WaitReason.OPEN_RUN)
    if check.query_due_at is not None:
        return _Step(_Kind.WAIT, "", WaitReason.VERDICT)
    return None if check.asked_at is not None else _Step(_Kind.ASK)


def _may_run(processor: Processor, facts: GateContext) -> bool:
    if not facts.first_phase or facts.sources is Sources.ALL:
        return True
    return facts.sources is Sources.CRITICAL and processor.priority is Priority.CRITICAL


def _not_run(processor: Processor, check: CheckRow, facts: GateContext) -> _Step:
    text = f"{_figures(check)}; not run: sources {facts.sources}"
    if processor.priority is Priority.CRITICAL:
        return _Step(_Kind.FAIL, f"{processor.name}: {text}", outcome=Outcome.BLOCKED)
    return _Step(_Kind.WAIVER, text)


def _to_run(processor: Processor, check: CheckRow, facts: GateContext) -> _Step:
    """The step of a processor whose output is not what it should be, and which may run."""
    if check.verdict is Verdict.NO_DATA and not (check.mode != RunMode.NORMAL and check.attempt_count == 0):
        return _no_data(processor, check)
    limit = 1 if check.verdict is Verdict.EXCESS else processor.max_attempts
    if check.attempt_count >= limit:
        return _exhausted(processor, check, facts)
    if check.retry_at is not None and facts.now < check.retry_at:
        text = f"{processor.name} after {_figures(check)}, attempt {check.attempt_count} of {limit}"
        return _Step(_Kind.WAIT, text, WaitReason.RETRY, check.retry_at)
    if processor.name in facts.held:
        return _Step(_Kind.WAIT, facts.held[processor.name], WaitReason.HELD)
    oldest_usable = max(facts.entered_at, check.retry_at or 0.0)
    if check.asked_at is None or check.asked_at < oldest_usable:
        return _Step(_Kind.ASK)
    return _Step(_Kind.RUN)


def _no_data(processor: Processor, check: CheckRow) -> _Step:
    if processor.priority is Priority.CRITICAL:
        text = f"{processor.name}: no data: {check.reason}"
        return _Step(_Kind.FAIL, text, outcome=Outcome.BLOCKED)
    return _Step(_Kind.WAIVER, f"no data: {check.reason}")


def _exhausted(processor: Processor, check: CheckRow, facts: GateContext) -> _Step:
    """Attempts are used up: a gap where priority and policy allow one, else the end."""
    some_good_rows = check.verdict in (Verdict.PARTIAL, Verdict.DEGRADED)
    tolerant = facts.sources is not Sources.ALL and some_good_rows
    optional = processor.priority is Priority.FALLBACK and check.verdict is not Verdict.EXCESS
    if optional or (processor.priority is Priority.IMPORTANT and tolerant):
        return _Step(_Kind.WAIVER, f"{_figures(check)} after {_attempts(check)}")
    return _Step(_Kind.FAIL, f"{processor.name}: {_figures(check)} after {_attempts(check)}")


def _figures(check: CheckRow) -> str:
    return f"{check.verdict}: {check.reason}" if check.reason else str(check.verdict)


def _attempts(check: CheckRow) -> str:
    return pluralize(check.attempt_count, "attempt")


def _with_fallbacks(processor: Processor, own: Mapping[str, _Step]) -> _Step:
    """A complete fallback stands in; before a failure one that may still become complete is waited for."""
    step = own[processor.name]
    fails, tolerated = step.kind is _Kind.FAIL, step.kind is _Kind.WAIVER and step.by is WaivedBy.POLICY
    for name in processor.fallbacks if fails or tolerated else ():
        if own[name].kind is _Kind.SATISFIED:
            return _Step(_Kind.WAIVER, f"{name} stands in: {step.text}", by=WaivedBy.FALLBACK)
    for name in processor.fallbacks if fails else ():
        if own[name].kind not in (_Kind.WAIVER, _Kind.FAIL):
            return _Step(
                _Kind.WAIT, f"{name}, which may stand in for {processor.name}", WaitReason.OTHER_PROCESSOR
            )
    return step


def _in_order(processor: Processor, steps: Mapping[str, _Step]) -> _Step:
    """Nothing starts before the processors it names in `after` are satisfied."""
    step = steps[processor.name]
    if step.kind not in (_Kind.RUN, _Kind.ASK):
        return step
    for name in processor.after:
        if steps[name].kind not in _PASSED:
            return _Step(_Kind.WAIT, f"{processor.name} runs after {name}", WaitReason.OTHER_PROCESSOR)
    return step


def _fail(step: _Step, steps: Mapping[str, _Step]) -> Decision:
    """Fail, but not under a running attempt: it ends first."""
    running = [name for name, other in steps.items() if other.kind is _Kind.RUNNING]
    if running:
        return Wait(
            waiting=WaitReason.ATTEMPT, text=f"{', '.join(running)} to end; then it fails: {step.text}"
        )
    return Fail(outcome=step.outcome, reason=step.text)


def _advance(steps: Mapping[str, _Step], facts: GateContext) -> Decision:
    if facts.missing_upstream:
        return Wait(waiting=WaitReason.EARLIER_DATE, text=facts.missing_upstream)
    return Advance(
        waivers={
            name: Waiver(step.by, step.text) for name, step in steps.items() if step.kind is _Kind.WAIVER
        }
    )


def _go_on(steps: Mapping[str, _Step], facts: GateContext) -> Decision:
    """Some processors are not satisfied, none has failed for good; the first retry is when to look again."""
    ask = tuple(name for name, step in steps.items() if step.kind is _Kind.ASK)
    runnable = tuple(name for name, step in steps.items() if step.kind is _Kind.RUN)
    running = any(step.kind is _Kind.RUNNING for step in steps.values())
    if any(step.waiting is WaitReason.OPEN_RUN for step in steps.values()):
        runnable = ()  # whoever else works on this state of the date may start the next processor any moment
    until = min((step.until for step in steps.values() if step.until is not None), default=None)
    wait = partial(Wait, ask=ask, until=until)
    if runnable and not facts.paused:
        return Start(
            processors=runnable, wait=wait(waiting=WaitReason.ATTEMPT if running else WaitReason.SLOT)
        )
    if running:
        return wait(waiting=WaitReason.ATTEMPT)
    if runnable:
        return wait(waiting=WaitReason.PAUSED, text=facts.paused)
    if ask:
        return wait(waiting=WaitReason.VERDICT)
    told = _most_urgent(steps)
    return wait(waiting=told.waiting, text=told.text)


_URGENCY = (
    WaitReason.WAREHOUSE,
    WaitReason.VERDICT,
    WaitReason.HELD,
    WaitReason.OPEN_RUN,
    WaitReason.RETRY,
    WaitReason.OTHER_PROCESSOR,
)


def _most_urgent(steps: Mapping[str, _Step]) -> _Step:
    """The wait that people should know of first."""
    waits = [step for step in steps.values() if step.kind is _Kind.WAIT]
    return min(waits, key=lambda step: _URGENCY.index(step.waiting))
