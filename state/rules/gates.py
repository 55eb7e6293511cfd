"""What a date does next, from the verdicts of its state: advance, start jobs, wait or fail. Pure.

Each processor of the state gives one step; the steps together give the decision.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import partial

from backfilld.state.formatting import pluralize
from backfilld.state.pipeline.phase import Stage
from backfilld.state.pipeline.processor import Priority, Processor
from backfilld.state.records import CheckRow, Sources
from backfilld.state.rules.attempt_limits import after_attempt, attempts_of, confirmation_due, figures
from backfilld.state.rules.date_outcomes import NO_DATA, NOT_RUN, Outcome
from backfilld.state.rules.gate_context import GateContext as GateContext  # noqa: PLC0414 - a part of this interface
from backfilld.state.rules.kept_waiver import is_kept
from backfilld.state.rules.overlapping_backfills import source_may_run
from backfilld.state.rules.processor_selection import upstream_command
from backfilld.state.rules.verdict import Verdict
from backfilld.state.rules.wait_reason import URGENCY
from backfilld.state.rules.wait_reason import WaitReason as WaitReason  # noqa: PLC0414 - a part of this interface
from backfilld.state.rules.waived_by import WaivedBy as WaivedBy  # noqa: PLC0414 - a part of this interface


@dataclass(frozen=True, slots=True)
class Waiver:
    """A missing or wrong output that a date passes with."""

    by: WaivedBy
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Advance:
    """The gate is satisfied; `waivers` by processor are the outputs that the date goes without."""

    waivers: Mapping[str, Waiver] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Nothing can start now. `ask` names the processors whose evidence is too old to act on."""

    waiting: WaitReason
    text: str = ""
    until: float | None = None
    ask: tuple[str, ...] = ()
    waivers: Mapping[str, Waiver] = field(default_factory=dict)
    """The outputs of this state that the date will go without, while it waits for other ones."""
    owed: tuple[str, ...] = ()
    """The outputs that have to be filled: a waiver of one, which was recorded before, holds no longer."""
    is_satisfied: bool = False
    """Whether the gate is satisfied, and the date waits for what the state that follows needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """These processors may start when there is a slot; the other ones wait as `wait` says."""

    processors: tuple[str, ...]
    wait: Wait
    with_period: Wait
    """What the date waits for where all of them start with other dates of their period."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fail:
    """The date cannot continue by itself."""

    outcome: Outcome
    reason: str


Decision = Advance | Start | Wait | Fail


class _Kind(StrEnum):
    SATISFIED = "satisfied"
    WAIVER = "waiver"
    UNSELECTED = "unselected"
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


# Those without words, made once: a state may have a thousand processors.
_ASK, _RUN, _RUNNING = _Step(_Kind.ASK), _Step(_Kind.RUN), _Step(_Kind.RUNNING)
_SATISFIED, _UNSELECTED = _Step(_Kind.SATISFIED), _Step(_Kind.UNSELECTED)
_WITH_PERIOD = _Step(_Kind.WAIT, waiting=WaitReason.PERIOD)
_PASSED, _OPEN = (_Kind.SATISFIED, _Kind.WAIVER, _Kind.UNSELECTED), (_Kind.WAIT, _Kind.RUN)
_WITHOUT_END = (WaitReason.WAREHOUSE, WaitReason.OPEN_RUN)
"""Waits that may never end. An accepted output passes through them."""


def decide(stage: Stage, checks: Mapping[str, CheckRow], context: GateContext) -> Decision:
    """Say what a date in `stage` does next. Total: every combination of checks has a decision."""
    alone = {p.name: _processor_step(p, checks, context) for p in stage.processors}
    replaced = {p.name: _with_fallbacks(p, alone) for p in stage.processors}
    steps = {p.name: _in_order(p, replaced) for p in stage.processors}
    fails = [step for step in steps.values() if step.kind is _Kind.FAIL]
    if fails:
        return _fail(fails[0], steps)
    if all(step.kind in _PASSED for step in steps.values()):
        return _advance(steps, context)
    return _start_or_wait(steps, context)


def _processor_step(processor: Processor, checks: Mapping[str, CheckRow], context: GateContext) -> _Step:
    """What a processor needs, whatever the other processors of its state do."""
    check = checks.get(processor.name)
    if check is None:
        return _ASK
    if check.attempt_id is not None:
        return _RUNNING
    if context.selected is not None and processor.name not in context.selected:
        return _unselected(processor, checks, context)
    may_run = not context.first_phase or source_may_run(processor, context.sources)
    step = _wait_for_evidence(check) or _satisfied(check, may_run)
    if waived := _waived(processor, checks, step):
        return waived
    step = step or (_to_run if may_run else _not_run)(processor, check, context)
    return _behind_earlier(processor, step, context)


def _behind_earlier(processor: Processor, step: _Step, context: GateContext) -> _Step:
    """The wait for an earlier date, of an output that needs one; else the step itself."""
    if processor.name in context.missing_upstream and step.kind in (_Kind.SATISFIED, _Kind.RUN):
        return _Step(_Kind.WAIT, context.missing_upstream[processor.name], WaitReason.EARLIER_DATE)
    return step


def _unselected(processor: Processor, checks: Mapping[str, CheckRow], context: GateContext) -> _Step:
    """A processor that is not run: it is waited for where it is needed, and passed by where it is not."""
    check = checks[processor.name]
    step = _wait_for_evidence(check)
    if waived := _waived(processor, checks, step):
        return waived
    if step is None and check.verdict.satisfied:
        return _behind_earlier(processor, _SATISFIED, context)
    if processor.name in context.needed:
        text = f"{figures(check)} and not selected; {upstream_command([check.date], context.selected or ())}"
        return step or _Step(_Kind.WAIT, f"{processor.name}: {text}", WaitReason.UNSELECTED)
    step = step or _UNSELECTED
    return replace(step, kind=_Kind.UNSELECTED) if step.waiting in _WITHOUT_END else step


def _waived(processor: Processor, checks: Mapping[str, CheckRow], step: _Step | None) -> _Step | None:
    """The waiver of an operator, which holds whatever the verdict is, or of an earlier request; else None."""
    check = checks[processor.name]
    if check.accepted_reason and (step is None or step.waiting in _WITHOUT_END):
        text = f"accepted by {check.accepted_by}: {check.accepted_reason}"
        return _Step(_Kind.WAIVER, text, by=WaivedBy.OPERATOR)
    if step is None and is_kept(processor, checks):
        return _Step(_Kind.WAIVER, check.waiver_reason, by=WaivedBy(check.waived_by))
    return None


def _satisfied(check: CheckRow, may_run: bool) -> _Step | None:
    """Satisfied where nothing more is needed. A complete output that awaits its rewrite is not satisfied."""
    forced = may_run and check.awaits_rewrite and check.verdict is Verdict.COMPLETE
    return _SATISFIED if check.verdict.satisfied and not forced else None


def _wait_for_evidence(check: CheckRow) -> _Step | None:
    """The wait for the warehouse to answer, for an open run to close, or for a query that is due."""
    if check.verdict is Verdict.UNKNOWN and check.asked_at is not None and check.reason:
        return _Step(_Kind.WAIT, check.reason, WaitReason.WAREHOUSE)
    if check.verdict is Verdict.RUNNING and check.asked_at is not None:
        return _Step(_Kind.WAIT, f"an open run of {check.processor}: {check.reason}", WaitReason.OPEN_RUN)
    if check.query_due_at is not None:
        return _Step(_Kind.WAIT, "", WaitReason.VERDICT)
    return None if check.asked_at is not None else _ASK


def _not_run(processor: Processor, check: CheckRow, context: GateContext) -> _Step:
    text = f"{figures(check)}; {NOT_RUN} {context.sources}"
    if processor.priority is Priority.CRITICAL:
        return _Step(_Kind.FAIL, f"{processor.name}: {text}", outcome=Outcome.BLOCKED)
    return _Step(_Kind.WAIVER, text)


def _to_run(processor: Processor, check: CheckRow, context: GateContext) -> _Step:
    """The step of a processor whose output is missing or wrong, and which may run."""
    attempts, limit = attempts_of(processor, check)
    if attempts >= limit or check.attempt_count >= processor.max_attempts:
        return _unconfirmed(processor, check, context) or _exhausted(processor, check, context)
    if check.retry_at is not None and context.now < check.retry_at:
        return _Step(_Kind.WAIT, after_attempt(processor, check), WaitReason.RETRY, check.retry_at)
    if step := _kept_back(processor.name, context):
        return step
    oldest_usable = max(context.entered_at, check.retry_at or 0.0)
    if check.asked_at is None or check.asked_at < oldest_usable:
        return _ASK
    return _RUN


def _kept_back(name: str, context: GateContext) -> _Step | None:
    """The wait for a resume, a release or an opening, where one keeps a processor from starting."""
    if name in context.paused_processors:
        return _Step(_Kind.WAIT, context.paused_processors[name], WaitReason.PAUSED)
    if name in context.held and not context.paused:  # where it is, a release starts nothing
        return _Step(_Kind.WAIT, context.held[name], WaitReason.HELD)
    closed = context.closed.get(name)
    return _Step(_Kind.WAIT, closed.text, WaitReason.WINDOW, closed.until) if closed else None


def _unconfirmed(processor: Processor, check: CheckRow, context: GateContext) -> _Step | None:
    """The wait for the query that confirms what the last attempt left; None once it is confirmed.

    Rows and runs of the history may show after a job that exited with 0 has ended.
    """
    at = confirmation_due(processor, check)
    if at is None:
        return None
    if context.now >= at:
        return _ASK
    text = f"{after_attempt(processor, check)}, queried once more {processor.confirm_after:.0f} s after it"
    return _Step(_Kind.WAIT, text, WaitReason.VERDICT, at)


def _no_data(processor: Processor, check: CheckRow) -> _Step:
    text = f"{NO_DATA}: {check.reason}{processor.source_hint(check.date)}"
    if processor.priority is Priority.CRITICAL:
        return _Step(_Kind.FAIL, f"{processor.name}: {text}", outcome=Outcome.BLOCKED)
    return _Step(_Kind.WAIVER, text)


def _exhausted(processor: Processor, check: CheckRow, context: GateContext) -> _Step:
    """Attempts are used up: a waiver where priority and policy allow one, else a failure."""
    attempts, limit = attempts_of(processor, check)
    if check.verdict is Verdict.NO_DATA and attempts >= limit:
        return _no_data(processor, check)
    has_rows = check.verdict in (Verdict.PARTIAL, Verdict.DEGRADED, Verdict.UNTOUCHED)
    tolerant = context.sources is not Sources.ALL and has_rows
    optional = processor.priority is Priority.FALLBACK and check.verdict is not Verdict.EXCESS
    text = f"{figures(check)}; {pluralize(check.attempt_count, 'attempt')}"
    if optional or (processor.priority is Priority.IMPORTANT and tolerant):
        return _Step(_Kind.WAIVER, text)
    return _Step(_Kind.FAIL, f"{processor.name}: {text}")


def _with_fallbacks(processor: Processor, alone: Mapping[str, _Step]) -> _Step:
    """A complete fallback replaces a processor. A failure waits for fallbacks that may become complete."""
    step = alone[processor.name]
    fails, tolerated = step.kind is _Kind.FAIL, step.kind is _Kind.WAIVER and step.by is WaivedBy.POLICY
    for name in processor.fallbacks if fails or tolerated else ():
        if alone[name].kind is _Kind.SATISFIED:
            text = f"replaced by {name}: {step.text.removeprefix(f'{processor.name}: ')}"
            return _Step(_Kind.WAIVER, text, by=WaivedBy.FALLBACK)
    for name in processor.fallbacks if fails else ():
        if alone[name].kind not in (_Kind.WAIVER, _Kind.FAIL, _Kind.UNSELECTED):
            text = f"{name}, which can replace {processor.name}"
            return _Step(_Kind.WAIT, text, WaitReason.OTHER_PROCESSOR)
    return step


def _in_order(processor: Processor, steps: Mapping[str, _Step]) -> _Step:
    """A processor starts only when those of its state that it names in `after` or `needs` are satisfied.

    Until then a verdict that compares with one of them is unknown: what that one waits for is the cause.
    """
    step, of = steps[processor.name], processor.expect.reference
    if step.waiting is WaitReason.WAREHOUSE and of and of in steps:
        return step if steps[of].kind in _PASSED else replace(step, waiting=WaitReason.OTHER_PROCESSOR)
    for name in processor.predecessors if step.kind in (_Kind.RUN, _Kind.ASK) else ():
        if name in steps and steps[name].kind not in _PASSED:
            return _Step(_Kind.WAIT, f"{processor.name} runs after {name}", WaitReason.OTHER_PROCESSOR)
    return step


def _fail(step: _Step, steps: Mapping[str, _Step]) -> Decision:
    """Fail, but not before running attempts have ended."""
    if any(other.kind is _Kind.RUNNING for other in steps.values()):
        return Wait(waiting=WaitReason.ATTEMPT, text=f"then the date fails: {step.text}")
    return Fail(outcome=step.outcome, reason=step.text)


def _advance(steps: Mapping[str, _Step], context: GateContext) -> Decision:
    if context.blocks_entry:
        blocked = Wait(waiting=WaitReason.EARLIER_DATE, text=context.blocks_entry)
        return replace(blocked, waivers=_waivers(steps), is_satisfied=True)
    return Advance(waivers=_waivers(steps))


def _waivers(steps: Mapping[str, _Step]) -> Mapping[str, Waiver]:
    return {name: Waiver(step.by, step.text) for name, step in steps.items() if step.kind is _Kind.WAIVER}


def _start_or_wait(steps: Mapping[str, _Step], context: GateContext) -> Decision:
    """Some processors are not satisfied and none has failed. `until` is the time of the first retry."""
    if open_run := next((step for step in steps.values() if step.waiting is WaitReason.OPEN_RUN), None):
        kept = replace(open_run, kind=_Kind.WAIT)  # its scheduler may start the next processor at any moment
        steps = {name: kept if step.kind is _Kind.RUN else step for name, step in steps.items()}
    ask = tuple(name for name, step in steps.items() if step.kind is _Kind.ASK)
    runnable = tuple(name for name, step in steps.items() if step.kind is _Kind.RUN)
    running = any(step.kind is _Kind.RUNNING for step in steps.values())
    until = min((step.until for step in steps.values() if step.until is not None), default=None)
    owed = tuple(name for name, step in steps.items() if _is_owed(step))
    wait = partial(Wait, ask=ask, until=until, waivers=_waivers(steps), owed=owed)
    waits = [_WITH_PERIOD if step is _RUN else step for step in steps.values() if step.kind in _OPEN]
    first = min([_ASK] if ask else waits, key=lambda step: URGENCY.index(step.waiting), default=_ASK)
    rest = wait(waiting=first.waiting, text=first.text)
    if runnable and not context.paused:
        start = wait(waiting=WaitReason.ATTEMPT if running else WaitReason.SLOT)
        return Start(processors=runnable, wait=start, with_period=rest)
    if running:
        return wait(waiting=WaitReason.ATTEMPT)
    return wait(waiting=WaitReason.PAUSED, text=context.paused) if runnable else rest


def _is_owed(step: _Step) -> bool:
    asks = step.waiting in (WaitReason.VERDICT, *_WITHOUT_END)
    return step.kind is _Kind.RUN or (step.kind is _Kind.WAIT and not asks)
