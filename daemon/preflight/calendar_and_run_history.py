"""Checks of the calendar and of the run history, with the external runs that are open."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterator

from backfilld.daemon.adapters import warehouse_adapter
from backfilld.daemon.preflight.context import PreflightContext
from backfilld.daemon.preflight.findings import Finding, failed, passed, warned
from backfilld.daemon.warehouses.adapter import QueryError, TableInfo
from backfilld.state.formatting import format_date_ranges, format_duration, join_truncated, pluralize
from backfilld.state.pipeline.calendar_settings import SeasonSettings
from backfilld.state.rules.evidence import HistoryRun

STALE_HISTORY_DAYS = 7
LATE_DAYS = 3
"""How many days before a season's end the calendar's last date may lie."""
BREAK_DAYS = 7
"""Days in a row without an expected date that a season may have. An All-Star break has six."""


def calendar(context: PreflightContext) -> Iterator[Finding]:
    """The calendar covers the range, its counts lie in seasons, and seasons open and close with it."""
    source = context.pipeline.calendar
    expected = [day.date for day in context.snapshot.expected()]
    if not expected:
        line = f"no date from {context.start} to {context.end} is expected"
        yield failed(line, "correct calendar.season, or check the rows of calendar.query")
        return
    if outside := context.snapshot.counts_outside_seasons():
        line = f"the calendar counts on {pluralize(len(outside), 'date')} outside of all seasons"
        yield warned(f"{line}: {format_date_ranges(outside)}", "correct calendar.season")
    for season in source.season:
        if season.closes >= context.start and season.opens <= context.end and (source.query or source.file):
            yield from _season(context, season, expected)
    yield from _queried_days(context)
    yield passed(
        f"{pluralize(len(expected), 'date is', 'dates are')} expected from {expected[0]} to {expected[-1]}"
    )


def history(context: PreflightContext) -> Iterator[Finding]:
    """The run history exists, can be read, and is still written."""
    source = context.pipeline.history
    if source is None:
        hint = "add [history] if the platform keeps one: it explains why rows are missing"
        yield warned("the pipeline names no run history: whatever has no rows never ran", hint)
        return
    info = context.tables[source.table]
    capabilities = warehouse_adapter(context.pipeline.warehouse.kind).capabilities
    if isinstance(info, QueryError):
        yield failed(f"{source.table}: {info}", "give the account the right to read it")
    elif info is None and "implicit_tables" not in capabilities:
        yield failed(f"{source.table} does not exist", "correct history.table")
    elif info is None:
        yield passed(f"{source.table} does not exist yet; the first job creates it")
    else:
        yield _freshness(context, source.table, info)


def foreign_runs(context: PreflightContext) -> Iterator[Finding]:
    """No external run works on the same dates."""
    open_runs = [
        (date, name, evidence.open)
        for (name, date), evidence in sorted(context.snapshot.answers.items(), key=lambda item: item[0][::-1])
        if evidence.open and abs(context.now - evidence.open.started_at) <= context.pipeline.stale_after
    ]
    if not open_runs:
        yield passed("no run of these dates is open")
        return
    named = join_truncated([_open(context, *run) for run in open_runs])
    hint = "stop the other scheduler, or let its runs end: the daemon waits for open runs"
    yield warned(f"runs of these dates are open: {named}", hint)


def _season(context: PreflightContext, season: SeasonSettings, expected: list[dt.date]) -> Iterator[Finding]:
    dates = [date for date in expected if season.opens <= date <= season.closes]
    if not dates:
        hint = "correct calendar.season or the calendar itself"
        yield failed(f"the calendar knows no date of {season.name} in the range", hint)
        return
    if season.opens >= context.start and dates[0] != season.opens:
        line = f"{season.name} opens {season.opens}, the calendar's first date is {dates[0]}"
        yield warned(line, "bootstrap days and lookback count from the opener: correct it")
    if season.closes <= context.end and (season.closes - dates[-1]).days > LATE_DAYS:
        line = f"{season.name} closes {season.closes}, the calendar's last date is {dates[-1]}"
        yield warned(line, "the end of the season may be missing from the calendar")
    yield from _breaks(context, season, dates)


def _queried_days(context: PreflightContext) -> Iterator[Finding]:
    """Days by name that a query names, and how many dates it names in the range."""
    for days in context.pipeline.calendar.days:
        if days.query is None:
            continue
        named = [day.date for day in context.snapshot.in_range() if day.named_days.get(days.name)]
        line = f"the query of the days '{days.name}' names {pluralize(len(named), 'date')} of the range"
        yield passed(line) if named else warned(line, f"check the rows of calendar.days[{days.name}].query")


def _breaks(context: PreflightContext, season: SeasonSettings, dates: list[dt.date]) -> Iterator[Finding]:
    """Gaps of the calendar in the range that are longer than any break of a season."""
    day = dt.timedelta(days=1)
    before_range = [context.start - day] if season.opens < context.start else []
    after_range = [min(context.end + day, context.today)] if context.end < season.closes else []
    for before, after in itertools.pairwise([*before_range, *dates, *after_range]):
        if (after - before).days - 1 > BREAK_DAYS:
            line = f"the calendar knows no date of {season.name} from {before + day} to {after - day}"
            yield warned(line, "is it complete? a date that it lacks ends as not_expected, without a query")


def _freshness(context: PreflightContext, table: str, info: TableInfo) -> Finding:
    if info.modified_at is None:
        return passed(f"{table} can be read")
    age = context.now - info.modified_at
    if age / 86_400 > STALE_HISTORY_DAYS:
        line = f"{table} was last written {age / 86_400:.0f} days ago"
        return warned(line, "if its writer is off, runs leave no trace and read as never ran")
    return passed(f"{table} was last written {format_duration(age)} ago")


def _open(context: PreflightContext, date: dt.date, name: str, run: HistoryRun) -> str:
    who = f", {run.detail}" if run.detail else ""
    return f"{name} of {date} ({(context.now - run.started_at) / 3600:.1f} h old{who})"
