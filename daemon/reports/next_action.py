"""The next action for a range of dates or for one date: one sentence with the command that helps."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from backfilld.daemon.reports.current_verdicts import MissingUpstream, Snapshot, blocked_reason
from backfilld.daemon.reports.remedies import accept_command, retry_command
from backfilld.state.formatting import format_date_ranges, join_truncated, pluralize
from backfilld.state.pipeline.phase import Phase
from backfilld.state.pipeline.processor import Processor
from backfilld.state.records import CheckRow
from backfilld.state.rules.gates import Decision, Fail, Start, Wait, WaitReason
from backfilld.state.rules.verdict import Verdict

NAMED = 3
"""How many processors or dates a sentence names before it counts the rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseStatus:
    """What keeps the dates of a range from passing a phase."""

    phase: Phase
    closed: Mapping[dt.date, Decision]
    """The first closed gate of each date that has one."""
    missing_upstream: Sequence[MissingUpstream]
    """Outputs of earlier dates, outside the range, that the phase needs."""


def next_action(snapshot: Snapshot, phases: Iterable[PhaseStatus]) -> str:
    """What to do about the first phase that is not ready."""
    expected = len(list(snapshot.expected()))
    if not expected and (outside := snapshot.counts_outside_seasons()):
        return f"correct calendar.season: {format_date_ranges(outside)} have counts and lie in no season"
    if not expected:
        reasons = sorted({day.reason for day in snapshot.in_range()})
        return f"nothing to do: no date is expected ({'; '.join(reasons[:NAMED])})"
    for status in phases:
        if status.closed and status.missing_upstream:
            named = join_truncated([str(missing) for missing in status.missing_upstream], between="; ")
            return f"fill what {status.phase.name} depends on first: {named}"
        if status.closed:
            return _phase_action(status, snapshot)
    if snapshot.failed_reruns:
        dates = sorted({date for of_name in snapshot.failed_reruns.values() for date in of_name})
        return f"{retry_command(dates)}: ready in every phase, but by rows that a failed rerun was to replace"
    return f"nothing to do: {pluralize(expected, 'date')} expected, ready in every phase"


def _phase_action(status: PhaseStatus, snapshot: Snapshot) -> str:
    name = status.phase.name
    to_run = [date for date, decision in status.closed.items() if isinstance(decision, Start)]
    waits = [decision for decision in status.closed.values() if isinstance(decision, Wait)]
    unjudged = [wait for wait in waits if wait.waiting is WaitReason.WAREHOUSE]
    if to_run:
        unknown = _unjudged(status.phase, snapshot, status.closed)
        also = f"; {unknown}" if unknown else ""
        return f"run {name}: {_missing(status.phase, snapshot, to_run)}; see the plan{also}"
    if unjudged:
        return f"find out why {name} cannot be judged, then validate again: {blocked_reason(unjudged[0])}"
    if waits:
        dates = pluralize(len(waits), "date")
        return f"wait for {blocked_reason(waits[0])} ({dates} of {name}), then validate again"
    date, failed = next((d, f) for d, f in status.closed.items() if isinstance(f, Fail))
    blocked = pluralize(len(status.closed), "date")
    commands = _accept(snapshot.checks[date], status.phase)
    return (
        f"look into {name}, running again does not help: {blocked} blocked, first {date} by {failed.reason}"
        f"{f'; if the data does not exist: {commands}' if commands else ''}"
    )


def _accept(checks: Mapping[str, CheckRow], phase: Phase) -> str:
    """The command that accepts the first processor of the phase without data, or empty."""
    of_phase = (checks[p.name] for p in phase.processor if p.name in checks)
    return next((accept_command(c.date, c.processor) for c in of_phase if c.verdict is Verdict.NO_DATA), "")


def _missing(phase: Phase, snapshot: Snapshot, dates: Iterable[dt.date]) -> str:
    """Which processors have to run on how many of the dates, the most frequent first.

    They include those that are compared with an output that runs first.
    """
    missing: Counter[str] = Counter()
    for checks in (snapshot.checks[date] for date in dates):
        for processor, check in _unsatisfied(phase, checks):
            of = _awaited(processor, checks)
            is_unknown = check.verdict is Verdict.UNKNOWN and (of is None or of.verdict is Verdict.UNKNOWN)
            missing[processor.name] += check.verdict is not Verdict.RUNNING and not is_unknown
    counts = [f"{pluralize(n, 'date lacks', 'dates lack')} {name}" for name, n in missing.most_common() if n]
    return join_truncated(counts)


def _unjudged(phase: Phase, snapshot: Snapshot, dates: Iterable[dt.date]) -> str:
    """Which processors cannot be judged on how many of the dates; empty where all can."""
    unknown: Counter[str] = Counter()
    for checks in (snapshot.checks[date] for date in dates):
        for processor, check in _unsatisfied(phase, checks):
            waits = _awaited(processor, checks) is not None
            unknown[processor.name] += check.verdict is Verdict.UNKNOWN and not waits
    counts = [f"{name} cannot be judged on {pluralize(n, 'date')}" for name, n in unknown.most_common() if n]
    return join_truncated(counts)


def _unsatisfied(phase: Phase, checks: Mapping[str, CheckRow]) -> Iterator[tuple[Processor, CheckRow]]:
    return ((p, checks[p.name]) for p in phase.processor if not checks[p.name].satisfied)


def _awaited(processor: Processor, checks: Mapping[str, CheckRow]) -> CheckRow | None:
    """The output that a processor's one is compared with, where it is not satisfied."""
    of = checks.get(processor.expect.reference or "")
    return None if of is None or of.satisfied else of
