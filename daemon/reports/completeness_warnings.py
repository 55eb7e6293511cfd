"""The warnings of a validation: what contradicts its verdicts."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Iterator

from backfilld.daemon.reports.current_verdicts import Snapshot
from backfilld.daemon.reports.remedies import retry_command
from backfilld.state.formatting import format_date_ranges, pluralize
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.pipeline.processor import Processor
from backfilld.state.rules.judge import outside
from backfilld.state.rules.season_calendar import Day


def warnings(pipeline: Pipeline, snapshot: Snapshot) -> Iterator[str]:
    """One sentence for counts outside of all seasons, for unexpected rows and for failed reruns."""
    if dates := snapshot.counts_outside_seasons():
        yield counts_outside_seasons(dates)
    for (name, why), rows in _unexpected_rows(pipeline, snapshot).items():
        counted = pluralize(sum(rows.values()), "row")
        yield f"unexpected rows: {name} has {counted} on {format_date_ranges(rows)}, {why}"
    for name, reasons in snapshot.failed_reruns.items():
        first, reason = next(iter(reasons.items()))
        several = f"first {first}: " if len(reasons) > 1 else ""
        yield (
            f"failed reruns: {name} on {format_date_ranges(reasons)}: {several}{' '.join(reason.split())};"
            f" {retry_command(list(reasons))} runs it again"
        )


def counts_outside_seasons(dates: Collection[dt.date]) -> str:
    """The warning about dates on which the calendar counts something, and which lie in no season."""
    return (
        f"{pluralize(len(dates), 'date has', 'dates have')} counts in the calendar outside of all"
        f" seasons: {format_date_ranges(dates)}; correct calendar.season"
    )


def _unexpected_rows(pipeline: Pipeline, snapshot: Snapshot) -> dict[tuple[str, str], dict[dt.date, int]]:
    """The unexpected rows of each date, by processor and by why none are expected."""
    found: dict[tuple[str, str], dict[dt.date, int]] = defaultdict(dict)
    for name, rows in snapshot.unexpected_rows.items():
        for date, n in rows.items():
            found[name, _why(pipeline, pipeline.processors[name], snapshot.days[date])][date] = n
    return found


def _why(pipeline: Pipeline, processor: Processor, day: Day) -> str:
    """Why a processor has no output on a day, the same for all such days."""
    if not day.expected:
        return "which the calendar does not expect"
    if limit := outside(day, processor.since, processor.until):
        return limit
    if not pipeline.off_reason(processor, day):
        return "in the season's bootstrap"
    if processor.output_period:
        return f"not the last date of a {processor.output_period}"
    return f"outside of {processor.days}"
