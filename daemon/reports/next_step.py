"""The one sentence that says what an operator does next with a range of dates."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from daemon.decide import Decision, Fail, Run, Wait, Waiting
from daemon.plain import counted, first_few
from daemon.reports.survey import Hole, Survey, why
from state.pipeline import Phase
from state.verdict import Verdict

NAMED = 3
"""How many processors or dates a sentence names before it counts the rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ahead:
    """What stands between the range and one phase's end."""

    phase: Phase
    closed: Mapping[dt.date, Decision]
    """The first gate of each date that would not open."""
    holes: Sequence[Hole]
    """What dates before the range lack."""


def next_action(seen: Survey, phases: Iterable[Ahead]) -> str:
    """What to do, by the first phase that is not ready."""
    expected = len(list(seen.expected()))
    if not expected:
        reasons = sorted({day.reason for day in seen.in_range()})
        return f"nothing to do: no date is expected ({'; '.join(reasons[:NAMED])})"
    for ahead in phases:
        if ahead.closed and ahead.holes:
            named = first_few([str(hole) for hole in ahead.holes], NAMED, "; ")
            return f"fill what {ahead.phase.name} depends on first: {named}"
        if ahead.closed:
            return _act(ahead, seen)
    return f"nothing to do: {counted(expected, 'date')} expected, ready in every phase"


def _act(ahead: Ahead, seen: Survey) -> str:
    name = ahead.phase.name
    lacking = [date for date, decision in ahead.closed.items() if isinstance(decision, Run)]
    if lacking:
        return f"run {name}: {_lacks(ahead.phase, seen, lacking)}; see the plan"
    waits = [decision for decision in ahead.closed.values() if isinstance(decision, Wait)]
    for wait in waits:
        if wait.waiting is Waiting.WAREHOUSE:
            return f"find out why {name} cannot be judged, then validate again: {why(wait)}"
    if waits:
        return f"wait for {why(waits[0])} ({counted(len(waits), 'date')} of {name}), then validate again"
    failed = next(decision for decision in ahead.closed.values() if isinstance(decision, Fail))
    blocked = counted(len(ahead.closed), "date")
    return f"look into {name}, running again does not help: {blocked} blocked, first by {failed.reason}"


def _lacks(phase: Phase, seen: Survey, dates: Iterable[dt.date]) -> str:
    names = [processor.name for processor in phase.processor]
    checks = [seen.checks[date][name] for date in dates for name in names]
    lacking = Counter(c.processor for c in checks if not c.satisfied and c.verdict is not Verdict.RUNNING)
    told = [
        f"{counted(n, 'date')} {'lacks' if n == 1 else 'lack'} {name}" for name, n in lacking.most_common()
    ]
    return first_few(told, NAMED)
