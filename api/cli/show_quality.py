"""The quality report as lines for people."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from backfilld.api.cli.output import sanitize_line, sign
from backfilld.daemon.reports.quality import DateQuality, ProcessorQuality, QualityReport
from backfilld.state.formatting import pluralize
from backfilld.state.rules.verdict import Verdict


def lines(report: QualityReport) -> Iterator[Text]:
    """The rows below standard of each processor, and their dates."""
    yield Text(f"{report.start}..{report.end}: {report.summary}", style="bold")
    for one in report.processors:
        yield Text.assemble(
            "  ", sign(_symbol(one)), f" {one.processor}: {'; '.join(_problems(one)) or _broken(one)}"
        )
        for date, row in one.dates.items():
            yield Text.assemble(f"      {date}  ", sign(row.verdict.symbol), f" {_date_problems(row)}")
    if report.unchecked:
        yield Text(f"  no quality standard configured: {', '.join(report.unchecked)}", style="dim")


def _symbol(one: ProcessorQuality) -> str:
    if one.unknown_dates:
        return Verdict.UNKNOWN.symbol
    if not one.rows:
        return Verdict.NOT_EXPECTED.symbol
    return (Verdict.DEGRADED if one.degraded_dates else Verdict.COMPLETE).symbol


def _problems(one: ProcessorQuality) -> Iterator[str]:
    if one.unknown_dates:
        yield f"{pluralize(one.unknown_dates, 'date')} could not be queried"
    if not one.rows and not one.unknown_dates:
        yield "no rows"
    elif one.rows and one.where:
        share = "" if one.percent_good is None else f" ({one.percent_good:.1f}%)"
        yield f"{one.rows - one.below} of {pluralize(one.rows, 'row')} hold {one.where}{share}"
    yield from (f"{column} is empty in {n} of {one.rows}" for column, n in one.empty_counts.items() if n)


def _broken(one: ProcessorQuality) -> str:
    """How many dates break a rule that counts no rows, such as `no_rows`."""
    rows = pluralize(one.rows, "row")
    if not one.degraded_dates:
        return f"{rows}, no rule is broken"
    return f"{rows}, {pluralize(one.degraded_dates, 'date')} not as the rules want"


def _date_problems(date: DateQuality) -> str:
    """The verdict and its reason, or the figures that are within what is allowed."""
    if not date.verdict.satisfied:
        return f"{date.verdict}: {sanitize_line(date.reason)}"
    below = [f"{date.below} of {pluralize(date.rows, 'row')} below"] if date.below else []
    empty_counts = [f"{column} is empty in {n}" for column, n in date.empty_counts.items()]
    return ", ".join([*below, *empty_counts]) + ", within what is allowed"
