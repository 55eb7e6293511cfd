"""The validation report: what exists for a range of dates, what is missing and why, and what to do next.

Verdicts come from the engine's rules. A phase is ready exactly where the engine would open its gate.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from backfilld.daemon.reports.completeness_warnings import warnings
from backfilld.daemon.reports.current_verdicts import (
    Known,
    MissingUpstream,
    Snapshot,
    closed_gates,
    enters,
    take_snapshot,
)
from backfilld.daemon.reports.next_action import PhaseStatus, next_action
from backfilld.daemon.warehouses.adapter import Warehouse
from backfilld.state.formatting import pluralize
from backfilld.state.pipeline.phase import Phase
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.pipeline.processor import Processor
from backfilld.state.records import CheckRow
from backfilld.state.rules.gates import Decision, Fail, Start
from backfilld.state.rules.season_calendar import Day
from backfilld.state.rules.verdict import Verdict

STATUSES: Mapping[str, str] = {
    "complete": "All expected outputs are complete.",
    "partly": "Some outputs have rows, and one is not complete.",
    "failed": "No output has rows, and a latest run failed.",
    "unknown": "No output has rows, and the warehouse gave no usable answer about one.",
    "running": "No output has rows, and an external run is open.",
    "never ran": "No output has rows, and one has no run that ended.",
    "ran but no data": "No output has rows, though the latest runs succeeded.",
    "nothing expected": "The calendar expects nothing of it in the range.",
}
"""The words for a processor over all dates of a report; of several that apply, the first."""


class Readiness(StrEnum):
    """The status of one date in one phase."""

    READY = "ready"
    """Every gate of the phase would open."""
    INCOMPLETE = "incomplete"
    """A processor has to run."""
    WAITING = "waiting"
    """An external run is open, or the warehouse could not be queried."""
    BLOCKED = "blocked"
    """Running again does not help: a critical source ran and has no data."""
    BOOTSTRAP = "bootstrap"
    """One of the first days of a season, on which the phase is skipped."""
    OFF = "off"
    """The calendar expects nothing."""


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
    """What the symbol means: a word of `STATUSES`."""
    complete: int
    expected: int
    percent: float | None
    """Share of expected dates that are complete, 0 to 100; None where nothing is expected."""
    verdicts: Mapping[str, int]
    bootstrap: int
    off: int
    note: str
    """Why nothing is expected; empty where something is."""
    estimate: float | None
    """Seconds per date by the pipeline file; None without an estimate."""
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
    """Outputs of dates before the range that processors of this phase need."""
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
    """The dates on which the calendar expects nothing, with the reason."""
    phases: Sequence[PhaseReport]
    ready: bool
    summary: str
    counts_outside_seasons: Mapping[dt.date, Mapping[str, int]]
    """What the calendar counts on dates that lie in no season."""
    unexpected_rows: Mapping[str, Mapping[dt.date, int]]
    """Rows by processor and date on dates on which no output of it is expected."""
    checks_not_run: Mapping[str, Sequence[dt.date]]
    """The dates by processor that are judged without their check command: it has no result about them."""
    failed_reruns: Mapping[str, Mapping[dt.date, str]]
    """By processor and failed date: what its rerun did instead of rewriting the rows that are complete."""
    warnings: Sequence[str]
    """Contradictions between calendar, seasons and tables, and failed reruns: one sentence each."""
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
    failed: Collection[dt.date] = (),
) -> Validation:
    """The report of the dates from `start` to `end`, both included; `now` is in epoch seconds.

    `known` has the attempts and accepted gaps of a state database, where there is one, and `failed` the dates
    that failed.

    Raises:
        WarehouseError: the calendar, or the whole warehouse, could not be queried.
        ValueError: `start` is after `end`.
    """
    snapshot = take_snapshot(pipeline, warehouse, start, end, now=now, known=known, failed=failed)
    return report(pipeline, snapshot)


def report(pipeline: Pipeline, snapshot: Snapshot) -> Validation:
    """The report of a snapshot."""
    statuses = [_status(pipeline, phase, snapshot) for phase in pipeline.phase]
    phases = [_phase(pipeline, status, snapshot) for status in statuses]
    expected = list(snapshot.expected())
    bootstrap = {date for p in phases for date, how in p.dates.items() if how is Readiness.BOOTSTRAP}
    return Validation(
        start=snapshot.start,
        end=snapshot.end,
        dates=len(list(snapshot.in_range())),
        expected_dates=len(expected),
        bootstrap_dates=len(bootstrap),
        off_dates={day.date: day.reason for day in snapshot.in_range() if not day.expected},
        phases=phases,
        ready=all(phase.ready for phase in phases),
        summary=_summary(snapshot, len(expected), len(bootstrap), phases),
        counts_outside_seasons=snapshot.counts_outside_seasons(),
        unexpected_rows=snapshot.unexpected_rows,
        checks_not_run={name: list(dates) for name, dates in snapshot.unchecked.items()},
        failed_reruns=snapshot.failed_reruns,
        warnings=list(warnings(pipeline, snapshot)),
        next_action=next_action(snapshot, statuses),
        snapshot=snapshot,
    )


def _status(pipeline: Pipeline, phase: Phase, snapshot: Snapshot) -> PhaseStatus:
    closed = closed_gates(pipeline, phase, snapshot)
    return PhaseStatus(
        phase=phase, closed=closed, missing_upstream=_missing_upstream(pipeline, phase, snapshot)
    )


def _phase(pipeline: Pipeline, status: PhaseStatus, snapshot: Snapshot) -> PhaseReport:
    phase = status.phase
    processors = [_processor(pipeline, processor, snapshot) for processor in phase.processor]
    dates = {
        day.date: _readiness(day, status.closed.get(day.date), goes_through=enters(pipeline, phase, day))
        for day in snapshot.in_range()
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
        missing_upstream=status.missing_upstream,
        processors=processors,
    )


def _readiness(day: Day, closed: Decision | None, *, goes_through: bool) -> Readiness:
    if not day.expected:
        return Readiness.OFF
    if not goes_through:
        return Readiness.BOOTSTRAP
    if closed is None:
        return Readiness.READY
    if isinstance(closed, Fail):
        return Readiness.BLOCKED
    return Readiness.INCOMPLETE if isinstance(closed, Start) else Readiness.WAITING


def _missing_upstream(pipeline: Pipeline, phase: Phase, snapshot: Snapshot) -> list[MissingUpstream]:
    """What the processors of the phase need of dates before the range, by the graph of needs.

    Earlier dates are also queried for comparisons; those are no needs. The first date on which a processor
    has output needs the earliest dates. An output that the date goes without needs nothing.
    """
    graph = pipeline.needs.starting(snapshot.start)
    entered = [day for day in snapshot.in_range() if enters(pipeline, phase, day)]
    missing: dict[MissingUpstream, None] = {}
    for processor in phase.processor:
        expected = (day.date for day in entered if pipeline.expects(processor, day))
        needing = (d for d in expected if not _is_waived(snapshot.checks[d][processor.name]))
        if (first := next(needing, None)) is None:
            continue
        for need in graph.earlier_of(processor.name):
            upstream = [pipeline.processors[name] for name in need.of]
            missing |= dict.fromkeys(snapshot.missing_before(upstream, graph.start(need, first)))
    return sorted(missing, key=lambda one: one.date)


def _is_waived(check: CheckRow) -> bool:
    return check.satisfied and not check.verdict.satisfied


def _processor(pipeline: Pipeline, processor: Processor, snapshot: Snapshot) -> ProcessorReport:
    checks = {day.date: snapshot.checks[day.date][processor.name] for day in snapshot.in_range()}
    bootstrap_days = pipeline.bootstrap_days(processor)
    off = sum(1 for day in snapshot.in_range() if not day.expected)
    bootstrap = sum(
        1
        for day in snapshot.expected()
        if day.in_bootstrap(bootstrap_days) and not pipeline.off_reason(processor, day)
    )
    verdicts: Counter[Verdict] = Counter(check.verdict for check in checks.values())
    del verdicts[Verdict.NOT_EXPECTED]
    complete, expected = verdicts[Verdict.COMPLETE], verdicts.total()
    symbol, status = _symbol(verdicts)
    words = f"outside of {processor.days}" if processor.days else "before since or after until"
    if processor.output_period:
        words = f"not the last date of a {processor.output_period}"
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
        note="" if expected else _nothing_expected(bootstrap, off, len(checks) - bootstrap - off, words),
        estimate=processor.estimate,
        dates={date: _date_verdict(check) for date, check in checks.items()},
    )


def _date_verdict(check: CheckRow) -> DateVerdict:
    waiver = f"accepted by {check.accepted_by}: {check.accepted_reason}" if check.accepted_reason else ""
    reason = "; ".join(filter(None, (check.reason, waiver)))
    return DateVerdict(verdict=check.verdict, rows=check.counted, expected=check.expected, reason=reason)


_SOME = (Verdict.COMPLETE, Verdict.PARTIAL, Verdict.DEGRADED, Verdict.UNTOUCHED, Verdict.EXCESS)
_NONE = {
    Verdict.FAILED: "failed",
    Verdict.UNKNOWN: "unknown",
    Verdict.RUNNING: "running",
    Verdict.NEVER_RAN: "never ran",
    Verdict.NO_DATA: "ran but no data",
}


def _symbol(verdicts: Mapping[Verdict, int]) -> tuple[str, str]:
    """Symbol and status over many dates: of the rows that exist, else the worst reason for having none."""
    present = {verdict for verdict, n in verdicts.items() if n}
    if not present:
        return Verdict.NOT_EXPECTED.symbol, "nothing expected"
    if present == {Verdict.COMPLETE}:
        return Verdict.COMPLETE.symbol, "complete"
    if present & {*_SOME}:
        return Verdict.PARTIAL.symbol, "partly"
    return next((verdict.symbol, words) for verdict, words in _NONE.items() if verdict in present)


def _nothing_expected(bootstrap: int, off: int, outside: int, words: str) -> str:
    counts = (
        (bootstrap, "in the season's bootstrap"),
        (off, "with nothing on the calendar"),
        (outside, words),
    )
    return ", ".join(f"{pluralize(n, 'date')} {words}" for n, words in counts if n)


def _summary(snapshot: Snapshot, expected: int, bootstrap: int, phases: Sequence[PhaseReport]) -> str:
    off = len(list(snapshot.in_range())) - expected
    apart = ", ".join(f"{n} {word}" for n, word in ((off, "off"), (bootstrap, "in bootstrap")) if n)
    ready = ", ".join(f"{p.phase} {p.ready_dates}/{p.expected_dates}" for p in phases)
    return f"{pluralize(expected, 'date')} expected{f' ({apart})' if apart else ''}; ready: {ready}"


def _percent(part: int, whole: int) -> float | None:
    return round(100 * part / whole, 1) if whole else None
