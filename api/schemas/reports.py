"""Reports as the API and `--json` tell them, field by field: validation, quality, preflight."""

from __future__ import annotations

import datetime as dt

from backfilld.api.schemas.fields import ReportModel
from backfilld.api.schemas.responses import Counts
from backfilld.daemon.preflight.checklist import FindingStatus
from backfilld.daemon.reports.validation import Readiness
from backfilld.state.rules.verdict import Verdict


class DateVerdict(ReportModel):
    """What one processor has for one date."""

    verdict: Verdict
    rows: int | None
    expected: str
    reason: str


class ProcessorReport(ReportModel):
    """One processor over the range; `verdicts` counts the expected dates."""

    processor: str
    table: str
    priority: str
    symbol: str
    status: str
    complete: int
    expected: int
    percent: float | None
    verdicts: Counts
    bootstrap: int
    off: int
    note: str
    estimate: float | None
    dates: dict[dt.date, DateVerdict]


class MissingUpstream(ReportModel):
    """An earlier date that bars the way into a sequential phase."""

    date: dt.date
    processor: str
    verdict: Verdict
    reason: str


class PhaseReport(ReportModel):
    """One phase over the range; `complete` and `expected` count (processor, date) pairs."""

    phase: str
    order: str
    ready: bool
    complete: int
    expected: int
    percent: float | None
    ready_dates: int
    expected_dates: int
    bootstrap_dates: int
    dates: dict[dt.date, Readiness]
    missing_upstream: list[MissingUpstream]
    processors: list[ProcessorReport]


class Validation(ReportModel):
    """What exists for a range of dates, what does not and why, and what to do next."""

    start: dt.date
    end: dt.date
    dates: int
    expected_dates: int
    bootstrap_dates: int
    off_dates: dict[dt.date, str]
    phases: list[PhaseReport]
    ready: bool
    summary: str
    counts_outside_seasons: dict[dt.date, Counts]
    unexpected_rows: dict[str, dict[dt.date, int]]
    warnings: list[str]
    next_action: str


class DateQuality(ReportModel):
    """What one date's rows lack: how many are below the predicate, and NULL or zero by column."""

    rows: int
    below: int
    empty_counts: Counts
    verdict: Verdict
    reason: str


class ProcessorQuality(ReportModel):
    """One processor that states what good rows are; `dates` holds only those with something to tell."""

    processor: str
    phase: str
    where: str
    columns: list[str]
    rows: int
    below: int
    percent_good: float | None
    empty_counts: Counts
    degraded_dates: int
    unknown_dates: int
    dates: dict[dt.date, DateQuality]


class Quality(ReportModel):
    """The spot check of a range; `unchecked` are the processors that state nothing to check."""

    start: dt.date
    end: dt.date
    dates: int
    processors: list[ProcessorQuality]
    unchecked: list[str]
    good: bool
    summary: str


class Finding(ReportModel):
    """One line about one thing that preflight looked at."""

    status: FindingStatus
    line: str
    hint: str
    where: str


class Result(ReportModel):
    """One check of preflight with its findings, the worst of which is its status."""

    group: str
    check: str
    title: str
    status: FindingStatus
    findings: list[Finding]


class Preflight(ReportModel):
    """The answers of all checks of preflight, with the command's exit code."""

    results: list[Result]
    exit_code: int
    summary: str
