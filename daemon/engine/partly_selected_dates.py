"""Dates of which only some processors may run: what is selected now, and what that leaves behind."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping

from backfilld.daemon.engine import computed_from_stale
from backfilld.daemon.engine.context import EngineContext
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.pipeline.processor import Processor
from backfilld.state.records import CheckRow, DateRow
from backfilld.state.rules.gates import WaitReason
from backfilld.state.rules.needs_graph import Pair, Span
from backfilld.state.rules.overlapping_backfills import Ownership
from backfilld.state.rules.processor_selection import downstream, upstream
from backfilld.state.rules.season_calendar import Day
from backfilld.state.store import checks, dates, stale_marks
from backfilld.state.store.database import Transaction

BATCH = 500
"""How many dates one pass queries at most."""


def selected_now(
    row: DateRow, owners: Ownership, date_checks: Mapping[str, CheckRow]
) -> frozenset[str] | None:
    """The processors that may run for a date; None: all. A cascade also runs what is stale."""
    selected = owners.selected
    if selected is None or not row.cascades:
        return selected
    return selected | {name for name, check in date_checks.items() if check.stale_at is not None}


def needed_now(pipeline: Pipeline, selected: frozenset[str] | None, day: Day | None) -> frozenset[str]:
    """The unselected processors whose output of the same date a selected one is computed from.

    A selected processor without output on the day needs none; where the day is None, that is unknown.
    """
    if selected is None:
        return frozenset()
    known = [p for p in pipeline.processors.values() if p.name in selected]
    names = [p.name for p in known if day is None or pipeline.expects(p, day)]
    return frozenset(upstream(pipeline, names, same_date=True)) - selected


def waited_for(
    processors: Iterable[Processor], selected: frozenset[str] | None, needed: frozenset[str]
) -> list[Processor]:
    """Those of `processors` for whose earlier dates a date waits: selected, or needed by what is."""
    return [p for p in processors if selected is None or p.name in selected | needed]


def unselected_reasons(pipeline: Pipeline, date_checks: Mapping[str, CheckRow]) -> str:
    """What is not satisfied although the date is done as far as selected; empty if there is nothing."""
    known = [date_checks[name] for name in pipeline.processors if name in date_checks]
    missing = [f"{check.processor} is {check.verdict}" for check in known if not check.satisfied]
    return f"not selected: {', '.join(missing)}" if missing else ""


def mark_unselected_stale(
    tx: Transaction, context: EngineContext, ended: Iterable[DateRow], owners: Mapping[dt.date, Ownership]
) -> None:
    """Mark the unselected outputs of done dates as stale that were computed from what has been rewritten.

    Not on dates that cascade: these run whatever the graph of needs makes stale, selected or not.
    """
    partly = {row.date: owners[row.date].selected for row in ended if not row.cascades}
    narrow = {date: selected for date, selected in partly.items() if selected is not None}
    marked: set[Pair] = set()
    for date, date_checks in checks.for_dates(tx, narrow).items():
        changed = [c for c in date_checks.values() if c.attempt_count and c.last_attempt_succeeded]
        for check in changed:
            at = check.last_attempt_ended_at or 0.0
            stale = downstream(context.pipeline, [check.processor], same_date=True) - narrow[date]
            if stale:
                repaired = (date, check.processor)
                marked |= stale_marks.mark_stale(tx, repaired, Span(date, date), at, sorted(stale))
    computed_from_stale.pass_on(tx, context, marked)


def unselected_missing(tx: Transaction, context: EngineContext) -> list[Pair]:
    """What the first live dates that wait for unselected outputs lack: another scheduler may write it."""
    rows = dates.waiting_for(tx, WaitReason.UNSELECTED, limit=BATCH)
    known = checks.for_dates(tx, [row.date for row in rows])
    stages = {row.date: context.pipeline.stage[row.state] for row in rows}
    return [
        (date, processor.name)
        for date, stage in stages.items()
        for processor in stage.processors
        if processor.name in known[date] and not known[date][processor.name].satisfied
    ]
