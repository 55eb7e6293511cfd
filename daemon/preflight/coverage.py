"""Checks of what the warehouse holds so far: calendar, run history, rows of each phase, others at work."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterator

from backfilld.daemon.adapters import warehouse_adapter
from backfilld.daemon.preflight.context import PreflightContext
from backfilld.daemon.preflight.findings import Finding, failed, passed, warned
from backfilld.daemon.reports.validation import PhaseReport, report
from backfilld.daemon.warehouses.adapter import QueryError, TableInfo
from backfilld.state.formatting import join_truncated, pluralize
from backfilld.state.pipeline.sections import SeasonSettings
from backfilld.state.rules.verdict import HistoryRun

STALE_HISTORY_DAYS = 7
LEAST_FIRST_PHASE = 99.0
"""Percent of the first phase below which its own jobs have to run, or the backfill is told not to mind."""
LATE_DAYS = 3
"""How many days before a season's end the calendar's last date may lie."""
BREAK_DAYS = 7
"""Days without a date that a season may have: the longest break of 2021-22 to 2024-25, All-Star, has six."""
NAMED = 3


def calendar(site: PreflightContext) -> Iterator[Finding]:
    """The calendar covers the range, and seasons open and close when it says."""
    source = site.pipeline.calendar
    expected = [day.date for day in site.snapshot.expected()]
    if not expected:
        line = f"no date from {site.start} to {site.end} is expected"
        yield failed(line, "correct calendar.season, or look at what calendar.query gives")
        return
    for season in source.season:
        if season.closes >= site.start and season.opens <= site.end and (source.query or source.file):
            yield from _season(site, season, expected)
    yield passed(f"{len(expected)} dates are expected from {expected[0]} to {expected[-1]}")


def history(site: PreflightContext) -> Iterator[Finding]:
    """The run history is there, can be read, and somebody still writes it."""
    source = site.pipeline.history
    if source is None:
        hint = "add [history] if the platform keeps one: it explains why rows are missing"
        yield warned("the pipeline names no run history: whatever has no rows never ran", hint)
        return
    info = site.tables[source.table]
    if isinstance(info, QueryError):
        yield failed(f"{source.table}: {info}", "give the account the right to read it")
    elif (
        info is None and "implicit_tables" not in warehouse_adapter(site.pipeline.warehouse.kind).capabilities
    ):
        yield failed(f"{source.table} does not exist", "correct history.table")
    elif info is None:
        yield passed(f"{source.table} is not there yet; the first job makes it")
    else:
        yield _freshness(site, source.table, info)


def data(site: PreflightContext) -> Iterator[Finding]:
    """How much of each phase is there, and whether every table can be judged."""
    phases = report(site.pipeline, site.snapshot).phases
    for place, phase in enumerate(phases):
        yield from _unknown(phase)
        if place == 0 and phase.percent is not None and phase.percent < LEAST_FIRST_PHASE:
            yield warned(_told(phase), "its jobs will run; --sources critical or none leaves them out")
        else:
            yield passed(_told(phase))
        if phase.missing_upstream:
            named = join_truncated([str(missing) for missing in phase.missing_upstream], NAMED, "; ")
            yield warned(f"{phase.phase} depends on earlier dates: {named}", "begin earlier, or accept them")


def foreign_runs(site: PreflightContext) -> Iterator[Finding]:
    """Nobody else is at work on the same dates."""
    open_runs = [
        (date, name, evidence.open)
        for (name, date), evidence in sorted(site.snapshot.answers.items(), key=lambda item: item[0][::-1])
        if evidence.open and abs(site.now - evidence.open.started_at) <= site.pipeline.stale_after
    ]
    if not open_runs:
        yield passed("no run of these dates is open")
        return
    named = join_truncated([_open(site, *run) for run in open_runs], NAMED)
    hint = "stop the other controller, or let it end: the daemon waits for open runs"
    yield warned(f"runs of these dates are open: {named}", hint)


def _season(site: PreflightContext, season: SeasonSettings, expected: list[dt.date]) -> Iterator[Finding]:
    own = [date for date in expected if season.opens <= date <= season.closes]
    if not own:
        hint = "correct calendar.season or the calendar itself"
        yield failed(f"the calendar knows no date of {season.name} in the range", hint)
        return
    if season.opens >= site.start and own[0] != season.opens:
        line = f"{season.name} opens {season.opens}, the calendar's first date is {own[0]}"
        yield warned(line, "bootstrap days and lookback count from the opener: correct it")
    if season.closes <= site.end and (season.closes - own[-1]).days > LATE_DAYS:
        line = f"{season.name} closes {season.closes}, the calendar's last date is {own[-1]}"
        yield warned(line, "the end of the season may be missing from the calendar")
    yield from _breaks(site, season, own)


def _breaks(site: PreflightContext, season: SeasonSettings, own: list[dt.date]) -> Iterator[Finding]:
    """Stretches in the range of which the calendar knows nothing, longer than any break of a season."""
    day = dt.timedelta(days=1)
    begin = [site.start - day] if season.opens < site.start else []
    end = [min(site.end + day, site.today)] if site.end < season.closes else []
    for before, after in itertools.pairwise([*begin, *own, *end]):
        if (after - before).days - 1 > BREAK_DAYS:
            line = f"the calendar knows no date of {season.name} from {before + day} to {after - day}"
            yield warned(line, "is it complete? what it does not expect ends as not_expected, unlooked at")


def _freshness(site: PreflightContext, table: str, info: TableInfo) -> Finding:
    if info.modified_at is None:
        return passed(f"{table} can be read")
    days = (site.now - info.modified_at) / 86_400
    if days > STALE_HISTORY_DAYS:
        line = f"{table} was last written {days:.0f} days ago"
        return warned(line, "if its writer is off, runs leave no trace and read as never ran")
    return passed(f"{table} was last written {days:.1f} days ago")


def _unknown(phase: PhaseReport) -> Iterator[Finding]:
    for processor in phase.processors:
        reasons = [told.reason for told in processor.dates.values() if told.verdict == "unknown"]
        if reasons:
            line = (
                f"{processor.processor} cannot be judged on {pluralize(len(reasons), 'date')}: {reasons[0]}"
            )
            yield failed(line, "what cannot be judged never runs and never passes")


def _told(phase: PhaseReport) -> str:
    share = "nothing expected" if phase.percent is None else f"{phase.percent} % complete"
    return f"{phase.phase}: {phase.ready_dates} of {phase.expected_dates} dates ready, {share}"


def _open(site: PreflightContext, date: dt.date, name: str, run: HistoryRun) -> str:
    who = f", {run.detail}" if run.detail else ""
    return f"{name} of {date} ({(site.now - run.started_at) / 3600:.1f} h old{who})"
