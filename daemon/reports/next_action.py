"""The one sentence that says what an operator does next with a range of dates."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from backfilld.daemon.reports.snapshot import MissingUpstream, Snapshot, blocked_reason
from backfilld.state.formatting import join_truncated, pluralize
from backfilld.state.pipeline.phase import Phase
from backfilld.state.rules.gates import Decision, Fail, Start, Wait, WaitReason
from backfilld.state.rules.verdict import Verdict

NAMED = 3
"""How many processors or dates a sentence names before it counts the rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseStatus:
    """What stands between the range and one phase's end."""

    phase: Phase
    closed: Mapping[dt.date, Decision]
    """The first gate of each date that would not open."""
    missing_upstream: Sequence[MissingUpstream]
    """What dates before the range lack."""


def next_action(seen: Snapshot, phases: Iterable[PhaseStatus]) -> str:
    """What to do, by the first phase that is not ready."""
    expected = len(list(seen.expected()))
    if not expected:
        reasons = sorted({day.reason for day in seen.in_range()})
        return f"nothing to do: no date is expected ({'; '.join(reasons[:NAMED])})"
    for ahead in phases:
        if ahead.closed and ahead.missing_upstream:
            named = join_truncated([str(missing) for missing in ahead.missing_upstream], NAMED, "; ")
            return f"fill what {ahead.phase.name} depends on first: {named}"
        if ahead.closed:
            return _act(ahead, seen)
    return f"nothing to do: {pluralize(expected, 'date')} expected, ready in every phase"


def _act(ahead: PhaseStatus, seen: Snapshot) -> str:
    name = ahead.phase.name
    lacking = [date for date, decision in ahead.closed.items() if isinstance(decision, Start)]
    if lacking:
        return f"run {name}: {_lacks(ahead.phase, seen, lacking)}; see the plan"
    waits = [decision for decision in ahead.closed.values() if isinstance(decision, Wait)]
    for wait in waits:
        if wait.waiting is WaitReason.WAREHOUSE:
            return f"find out why {name} cannot be judged, then validate again: {blocked_reason(wait)}"
    if waits:
        dates = pluralize(len(waits), "date")
        return f"wait for {blocked_reason(waits[0])} ({dates} of {name}), then validate again"
    failed = next(decision for decision in ahead.closed.values() if isinstance(decision, Fail))
    blocked = pluralize(len(ahead.closed), "date")
    return f"look into {name}, running again does not help: {blocked} blocked, first by {failed.reason}"


def _lacks(phase: Phase, seen: Snapshot, dates: Iterable[dt.date]) -> str:
    names = [processor.name for processor in phase.processor]
    checks = [seen.checks[date][name] for date in dates for name in names]
    lacking = Counter(c.processor for c in checks if not c.satisfied and c.verdict is not Verdict.RUNNING)
    told = [
        f"{pluralize(n, 'date')} {'lacks' if n == 1 else 'lack'} {name}" for name, n in lacking.most_common()
    ]
    return join_truncated(told, NAMED)
