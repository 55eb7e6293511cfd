"""The validation report as lines for people."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator, Sequence

from rich.text import Text

from backfilld.api.cli.output import sanitize_line, sign
from backfilld.daemon.reports.data_completeness import (
    DateVerdict,
    PhaseReport,
    ProcessorReport,
    Readiness,
    Validation,
)
from backfilld.state.formatting import format_date_ranges, pluralize
from backfilld.state.rules.evidence import GONE
from backfilld.state.rules.verdict import Verdict

_LONGEST = 110
"""The most characters of a reason in a processor's row; `--dates` prints all of it."""
_BLOCKERS = 3
"""How many blocking earlier dates are printed in full."""
_WORDS = {
    Verdict.NEVER_RAN: "NEVER RAN",
    Verdict.NO_DATA: "ran, no data found",
    Verdict.FAILED: "ran but FAILED",
}
_READINESS_STYLES = {Readiness.READY: "green", Readiness.BOOTSTRAP: "dim", Readiness.BLOCKED: "red"}


def lines(report: Validation, *, per_date: bool) -> Iterator[Text]:
    """The report by phase; `per_date` adds a line for each date in each phase."""
    apart = f", {report.bootstrap_dates} of them in bootstrap" if report.bootstrap_dates else ""
    requested = pluralize(report.dates, "date")
    span = f"{report.start}..{report.end}: {report.expected_dates} of {requested} expected{apart}"
    yield Text(span, style="bold")
    yield from _off(report)
    yield from (Text(f"  warning: {line}", style="yellow") for line in report.warnings)
    for name, dates in report.checks_not_run.items():
        judged = "judged by the other rules; the daemon runs it before their gate opens"
        yield Text(f"  check not run: {name} on {format_date_ranges(dates)}: {judged}", style="yellow")
    width = max(len(one.processor) for phase in report.phases for one in phase.processors)
    for phase in report.phases:
        yield Text()
        yield Text(_title(phase), style="bold")
        yield from (_row(one, width) for one in phase.processors)
        yield from (Text(f"  blocked by {line}", style="red") for line in _blockers(phase))
        if per_date:
            yield from _dates(phase)
    yield Text()
    yield Text(report.summary)
    yield Text(f"next: {report.next_action}", style="bold")


def _off(report: Validation) -> Iterator[Text]:
    by_reason: dict[str, list[dt.date]] = defaultdict(list)
    for date, reason in report.off_dates.items():
        by_reason[reason].append(date)
    for reason, dates in by_reason.items():
        yield Text(f"  off: {format_date_ranges(dates)}: {reason}", style="dim")


def _title(phase: PhaseReport) -> str:
    apart = f", {phase.bootstrap_dates} in bootstrap" if phase.bootstrap_dates else ""
    dates = pluralize(phase.expected_dates, "date")
    return f"{phase.phase} ({phase.order}): {phase.ready_dates}/{dates} ready{apart}"


def _blockers(phase: PhaseReport) -> Iterator[str]:
    """Earlier dates with missing outputs, the first of them with their processors."""
    blockers: dict[dt.date, list[str]] = defaultdict(list)
    for missing in phase.missing_upstream:
        blockers[missing.date].append(f"{missing.processor} ({missing.verdict})")
    named = list(blockers)[:_BLOCKERS]
    yield from (f"{date}, which lacks {', '.join(blockers[date])}" for date in named)
    if len(blockers) > _BLOCKERS:
        more = list(blockers)[_BLOCKERS:]
        yield f"{len(more)} more earlier dates: {format_date_ranges(more)}"


def _row(one: ProcessorReport, width: int) -> Text:
    """`✓ name  1/1 (100.0%) [CRITICAL]`, and why the rest is missing."""
    share = f"({one.percent:.1f}%)" if one.percent is not None else ""
    count = f"{one.complete}/{one.expected}"
    why = "; ".join(_unsatisfied(one)) or one.note
    row = f" {one.processor:{width}} {count:>9} {share:8} {f'[{one.priority.upper()}]':11}"
    return Text.assemble("  ", sign(one.symbol), f"{row}  ({why})" if why else row.rstrip())


def _unsatisfied(one: ProcessorReport) -> Iterator[str]:
    for verdict in Verdict:
        dates = {date: row for date, row in one.dates.items() if row.verdict is verdict}
        if verdict.satisfied or not dates:
            continue
        words = _WORDS.get(verdict, verdict.value)
        count = f"{len(dates)} " if len(dates) < one.expected else ""
        yield f"{count}{words}{_reason(verdict, dates)}"


def _reason(verdict: Verdict, dates: dict[dt.date, DateVerdict]) -> str:
    """The reason of the verdict, unless the verdict says it all; the first of several reasons."""
    first, row = next(iter(dates.items()))
    if _says_it_all(row) or not row.reason:
        return ""
    several = len({other.reason for other in dates.values()}) > 1
    return f": {f'first {first}: ' if several else ''}{_shortened(row.reason)}"


def _says_it_all(row: DateVerdict) -> bool:
    """Whether a verdict needs no reason: there are no rows, and none of an attempt have vanished."""
    return row.verdict in (Verdict.NEVER_RAN, Verdict.NO_DATA) and GONE not in row.reason


def _shortened(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= _LONGEST else f"{plain[:_LONGEST]}..."


def _dates(phase: PhaseReport) -> Iterator[Text]:
    """A line for each expected date, with its unsatisfied processors."""
    for date, readiness in phase.dates.items():
        if readiness is not Readiness.OFF:
            word = (readiness.value, _READINESS_STYLES.get(readiness, "yellow"))
            problems = "; ".join(_date_problems(phase.processors, date))
            yield Text.assemble(f"    {date}  ", word, f"  {problems}" if problems else "")


def _date_problems(processors: Sequence[ProcessorReport], date: dt.date) -> Iterator[str]:
    """Unsatisfied processors of a date: `NEVER RAN: a, b`, then those with a reason of their own."""
    plain: dict[Verdict, list[str]] = defaultdict(list)
    for one in processors:
        row = one.dates[date]
        if _says_it_all(row):
            plain[row.verdict].append(one.processor)
    for verdict, names in plain.items():
        every = len(names) == len(processors) > 1
        yield f"{verdict.symbol} {_WORDS[verdict]}: {f'all {len(names)}' if every else ', '.join(names)}"
    for one in processors:
        row = one.dates[date]
        if not row.verdict.satisfied and not _says_it_all(row):
            words = _WORDS.get(row.verdict, row.verdict.value)
            yield f"{row.verdict.symbol} {one.processor} {words}: {sanitize_line(row.reason)}"
