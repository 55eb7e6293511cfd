"""The validation report as lines for people."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator, Sequence

from rich.text import Text

from backfilld.api.cli.output import sanitize_line, sign
from backfilld.daemon.reports.validation import (
    DateVerdict,
    PhaseReport,
    ProcessorReport,
    Readiness,
    Validation,
)
from backfilld.state.formatting import format_date_ranges
from backfilld.state.rules.verdict import Verdict

_LONGEST = 110
"""Characters of a reason in a processor's row; `--dates` has all of it."""
_HOLES = 3
"""How many earlier dates that bar the way are told in full."""
_WORDS = {
    Verdict.NEVER_RAN: "NEVER RAN",
    Verdict.NO_DATA: "ran, no data found",
    Verdict.FAILED: "ran but FAILED",
}
_PLACES = {Readiness.READY: "green", Readiness.BOOTSTRAP: "dim", Readiness.BLOCKED: "red"}


def lines(report: Validation, *, per_date: bool) -> Iterator[Text]:
    """The whole report; `per_date` adds how each date stands in each phase."""
    apart = f", {report.bootstrap_dates} of them in bootstrap" if report.bootstrap_dates else ""
    span = f"{report.start}..{report.end}: {report.expected_dates} of {report.dates} dates expected{apart}"
    yield Text(span, style="bold")
    yield from _off(report)
    yield from (Text(f"  warning: {line}", style="yellow") for line in report.warnings)
    width = max(len(one.processor) for phase in report.phases for one in phase.processors)
    for phase in report.phases:
        yield Text()
        yield Text(_title(phase), style="bold")
        yield from (_row(one, width) for one in phase.processors)
        yield from (Text(f"  blocked by {told}", style="red") for told in _holes(phase))
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
    return f"{phase.phase} ({phase.order}): {phase.ready_dates}/{phase.expected_dates} dates ready{apart}"


def _holes(phase: PhaseReport) -> Iterator[str]:
    """What earlier dates lack, a line for each of the first of them."""
    lacking: dict[dt.date, list[str]] = defaultdict(list)
    for missing in phase.missing_upstream:
        lacking[missing.date].append(f"{missing.processor} ({missing.verdict})")
    named = list(lacking)[:_HOLES]
    yield from (f"{date}, which lacks {', '.join(lacking[date])}" for date in named)
    if len(lacking) > _HOLES:
        yield f"{len(lacking) - _HOLES} more earlier dates: {format_date_ranges(list(lacking)[_HOLES:])}"


def _row(one: ProcessorReport, width: int) -> Text:
    """`✓ name  1/1 (100.0%) [CRITICAL]`, and why the rest is missing."""
    share = f"({one.percent:.1f}%)" if one.percent is not None else ""
    count = f"{one.complete}/{one.expected}"
    why = "; ".join(_lacking(one)) or one.note
    row = f" {one.processor:{width}} {count:>9} {share:8} {f'[{one.priority.upper()}]':11}"
    return Text.assemble("  ", sign(one.symbol), f"{row}  ({why})" if why else row.rstrip())


def _lacking(one: ProcessorReport) -> Iterator[str]:
    for verdict in Verdict:
        dates = {date: told for date, told in one.dates.items() if told.verdict is verdict}
        if verdict.satisfied or not dates:
            continue
        words = _WORDS.get(verdict, verdict.value)
        count = f"{len(dates)} " if len(dates) < one.expected else ""
        yield f"{count}{words}{_reason(verdict, dates)}"


def _reason(verdict: Verdict, dates: dict[dt.date, DateVerdict]) -> str:
    """What the warehouse said, where the words do not say it already; of several reasons the first."""
    first, told = next(iter(dates.items()))
    if verdict in (Verdict.NEVER_RAN, Verdict.NO_DATA) or not told.reason:
        return ""
    several = len({other.reason for other in dates.values()}) > 1
    return f": {f'first {first}: ' if several else ''}{_shortened(told.reason)}"


def _shortened(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= _LONGEST else f"{plain[:_LONGEST]}..."


def _dates(phase: PhaseReport) -> Iterator[Text]:
    """A line for each date, with what it lacks; off dates are told once, above."""
    for date, standing in phase.dates.items():
        if standing is not Readiness.OFF:
            what = (standing.value, _PLACES.get(standing, "yellow"))
            lacking = "; ".join(_of_date(phase.processors, date))
            yield Text.assemble(f"    {date}  ", what, f"  {lacking}" if lacking else "")


def _of_date(processors: Sequence[ProcessorReport], date: dt.date) -> Iterator[str]:
    """What a date lacks: `NEVER RAN: a, b`, then each that has more to say than that."""
    plain: dict[Verdict, list[str]] = defaultdict(list)
    for one in processors:
        told = one.dates[date]
        if told.verdict in (Verdict.NEVER_RAN, Verdict.NO_DATA):
            plain[told.verdict].append(one.processor)
    for verdict, names in plain.items():
        every = len(names) == len(processors) > 1
        yield f"{verdict.symbol} {_WORDS[verdict]}: {f'all {len(names)}' if every else ', '.join(names)}"
    for one in processors:
        told = one.dates[date]
        if not told.verdict.satisfied and told.verdict not in plain:
            words = _WORDS.get(told.verdict, told.verdict.value)
            yield f"{told.verdict.symbol} {one.processor} {words}: {sanitize_line(told.reason)}"
