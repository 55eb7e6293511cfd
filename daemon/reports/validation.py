"""The validation report: what exists for a range of dates, what does not and why, and what to do next.

The verdicts are the engine's own, and a phase is ready exactly where the engine would open its gate.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from backfilld.daemon.engine import lookback
from backfilld.daemon.reports.next_action import PhaseStatus, next_action
from backfilld.daemon.reports.snapshot import (
    Known,
    MissingUpstream,
    Snapshot,
    closed_gates,
    enters,
    take_snapshot,
)
from backfilld.daemon.warehouses.adapter import Warehouse
from backfilld.state.formatting import pluralize
from backfilld.state.pipeline.phase import Phase
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.pipeline.processor import Processor
from backfilld.state.records import CheckRow
from backfilld.state.rules.calendar import Day
from backfilld.state.rules.gates import Decision, Fail, Start
from backfilld.state.rules.verdict import Verdict


class Readiness(StrEnum):
    """How one date stands in one phase."""

    READY = "ready"
    """Every gate of the phase would open."""
    LACKING = "lacking"
    """Something has to run."""
    WAITING = "waiting"
    """Somebody's run is open, or the warehouse could not say."""
    BLOCKED = "blocked"
    """Running would not help: a critical source ran and has no data."""
    BOOTSTRAP = "bootstrap"
    OFF = "off"


@dataclass(frozen=True, slots=True, kw_only=True)
class DateVerdict:
    """What one processor has for one date."""

    verdict: Verdict
    rows: int | None
    expected: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessorReport:
    """One processor over the range. `verdicts` counts the expected dates; the others are counted apart."""

    processor: str
    table: str
    priority: str
    symbol: str
    status: str
    """The symbol in words: complete, partly, never ran, ran but no data, failed, running, unknown."""
    complete: int
    expected: int
    percent: float | None
    """Share of expected dates that are complete, 0 to 100; None where nothing is expected."""
    verdicts: Mapping[str, int]
    bootstrap: int
    off: int
    note: str
    """Why nothing is expected where nothing is, else empty."""
    estimate: float | None
    """Seconds that one date usually takes, as the pipeline file says."""
    dates: Mapping[dt.date, DateVerdict]


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseReport:
    """One phase over the range. `complete` and `expected` count (processor, date) pairs."""

    phase: str
    order: str
    ready: bool
    complete: int
    expected: int
    percent: float | None
    ready_dates: int
    expected_dates: int
    bootstrap_dates: int
    dates: Mapping[dt.date, Readiness]
    missing_upstream: Sequence[MissingUpstream]
    """What earlier dates, outside the range, lack of the phase before, so that this one cannot start."""
    processors: Sequence[ProcessorReport]


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """The whole report. `bootstrap_dates` are expected, but not in every phase."""

    start: dt.date
    end: dt.date
    dates: int
    expected_dates: int
    bootstrap_dates: int
    off_dates: Mapping[dt.date, str]
    """The dates on which nothing is expected, with the reason."""
    phases: Sequence[PhaseReport]
    ready: bool
    summary: str
    next_action: str
    snapshot: Snapshot = field(repr=False)


def validation(
    pipeline: Pipeline,
    warehouse: Warehouse,
    start: dt.date,
    end: dt.date,
    *,
    now: float,
    known: Known | None = None,
) -> Validation:
    """Say what exists from `start` to `end`, both included; `now` is in epoch seconds.

    `known` is what a state database remembers, where there is one: own attempts and accepted gaps.

    Raises:
        WarehouseError: the calendar, or everything in the warehouse, could not be asked.
        ValueError: `start` is after `end`.
    """
    if start > end:
        raise ValueError(f"start {start} is after end {end}")
    return report(pipeline, take_snapshot(pipeline, warehouse, start, end, now=now, known=known))


def report(pipeline: Pipeline, seen: Snapshot) -> Validation:
    """The report of what a survey found."""
    ahead = [_ahead(pipeline, phase, seen) for phase in pipeline.phase]
    phases = [_phase(pipeline, one, seen) for one in ahead]
    expected = list(seen.expected())
    bootstrap = {date for p in phases for date, how in p.dates.items() if how is Readiness.BOOTSTRAP}
    return Validation(
        start=seen.start,
        end=seen.end,
        dates=len(list(seen.in_range())),
        expected_dates=len(expected),
        bootstrap_dates=len(bootstrap),
        off_dates={day.date: day.reason for day in seen.in_range() if not day.expected},
        phases=phases,
        ready=all(phase.ready for phase in phases),
        summary=_summary(seen, len(expected), len(bootstrap), phases),
        next_action=next_action(seen, ahead),
        snapshot=seen,
    )


def _ahead(pipeline: Pipeline, phase: Phase, seen: Snapshot) -> PhaseStatus:
    closed = closed_gates(pipeline, phase, seen)
    return PhaseStatus(phase=phase, closed=closed, missing_upstream=_holes(pipeline, phase, seen))


def _phase(pipeline: Pipeline, ahead: PhaseStatus, seen: Snapshot) -> PhaseReport:
    phase = ahead.phase
    processors = [_processor(pipeline, processor, seen) for processor in phase.processor]
    dates = {
        day.date: _standing(day, ahead.closed.get(day.date), goes_through=enters(pipeline, phase, day))
        for day in seen.in_range()
    }
    tally = Counter(dates.values())
    complete, expected = sum(p.complete for p in processors), sum(p.expected for p in processors)
    due = len(dates) - tally[Readiness.OFF] - tally[Readiness.BOOTSTRAP]
    return PhaseReport(
        phase=phase.name,
        order=phase.order,
        ready=tally[Readiness.READY] == due,
        complete=complete,
        expected=expected,
        percent=_percent(complete, expected),
        ready_dates=tally[Readiness.READY],
        expected_dates=due,
        bootstrap_dates=tally[Readiness.BOOTSTRAP],
        dates=dates,
        missing_upstream=ahead.missing_upstream,
        processors=processors,
    )


def _standing(day: Day, closed: Decision | None, *, goes_through: bool) -> Readiness:
    if not day.expected:
        return Readiness.OFF
    if not goes_through:
        return Readiness.BOOTSTRAP
    if closed is None:
        return Readiness.READY
    if isinstance(closed, Fail):
        return Readiness.BLOCKED
    return Readiness.LACKING if isinstance(closed, Start) else Readiness.WAITING


def _holes(pipeline: Pipeline, phase: Phase, seen: Snapshot) -> list[MissingUpstream]:
    """What bars the first date of the range that goes through the phase."""
    before = lookback.phase_before(pipeline, phase)
    first = next((day for day in seen.in_range() if enters(pipeline, phase, day)), None)
    if before is None or first is None:
        return []
    since = pipeline.seasons.lookback_start(first.date, pipeline.lookback(phase))
    return seen.holes_before(before.processor, since)


def _processor(pipeline: Pipeline, processor: Processor, seen: Snapshot) -> ProcessorReport:
    checks = {day.date: seen.checks[day.date][processor.name] for day in seen.in_range()}
    bootstrap_days = pipeline.bootstrap_days(processor)
    off = sum(1 for day in seen.in_range() if not day.expected)
    bootstrap = sum(1 for day in seen.expected() if day.in_bootstrap(bootstrap_days))
    verdicts: Counter[Verdict] = Counter(check.verdict for check in checks.values())
    del verdicts[Verdict.NOT_EXPECTED]
    complete, expected = verdicts[Verdict.COMPLETE], verdicts.total()
    symbol, status = _sign(verdicts)
    return ProcessorReport(
        processor=processor.name,
        table=processor.table,
        priority=processor.priority.value,
        symbol=symbol,
        status=status,
        complete=complete,
        expected=expected,
        percent=_percent(complete, expected),
        verdicts={verdict.value: verdicts[verdict] for verdict in Verdict if verdicts[verdict]},
        bootstrap=bootstrap,
        off=off,
        note="" if expected else _nothing_expected(bootstrap, off),
        estimate=processor.estimate,
        dates={date: _date_verdict(check) for date, check in checks.items()},
    )


def _date_verdict(check: CheckRow) -> DateVerdict:
    waiver = f"accepted by {check.accepted_by}: {check.accepted_reason}" if check.accepted_reason else ""
    reason = "; ".join(filter(None, (check.reason, waiver)))
    return DateVerdict(verdict=check.verdict, rows=check.counted, expected=check.expected, reason=reason)


_SOME = (Verdict.COMPLETE, Verdict.PARTIAL, Verdict.DEGRADED, Verdict.EXCESS)
_NONE = {
    Verdict.FAILED: "failed",
    Verdict.UNKNOWN: "unknown",
    Verdict.RUNNING: "running",
    Verdict.NEVER_RAN: "never ran",
    Verdict.NO_DATA: "ran but no data",
}


def _sign(verdicts: Mapping[Verdict, int]) -> tuple[str, str]:
    """The symbol of a processor over many dates: of what is there, else of the worst reason for nothing."""
    found = {verdict for verdict, n in verdicts.items() if n}
    if not found:
        return Verdict.NOT_EXPECTED.symbol, "nothing expected"
    if found == {Verdict.COMPLETE}:
        return Verdict.COMPLETE.symbol, "complete"
    if found & {*_SOME}:
        return Verdict.PARTIAL.symbol, "partly"
    return next((verdict.symbol, words) for verdict, words in _NONE.items() if verdict in found)


def _nothing_expected(bootstrap: int, off: int) -> str:
    counts = ((bootstrap, "in the season's bootstrap"), (off, "with nothing on the calendar"))
    return ", ".join(f"{pluralize(n, 'date')} {words}" for n, words in counts if n)


def _summary(seen: Snapshot, expected: int, bootstrap: int, phases: Sequence[PhaseReport]) -> str:
    off = len(list(seen.in_range())) - expected
    apart = ", ".join(f"{n} {word}" for n, word in ((off, "off"), (bootstrap, "in bootstrap")) if n)
    told = ", ".join(f"{p.phase} {p.ready_dates}/{p.expected_dates}" for p in phases)
    return f"{pluralize(expected, 'date')} expected{f' ({apart})' if apart else ''}; ready: {told}"


def _percent(part: int, whole: int) -> float | None:
    return round(100 * part / whole, 1) if whole else None
