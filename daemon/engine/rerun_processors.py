"""Single processors of ended dates that run again: one backfill that selects them alone, and forces them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence

from backfilld.daemon.engine.context import EngineContext
from backfilld.daemon.engine.enqueue_models import EnqueueRequest
from backfilld.daemon.engine.enqueue_store import store_retry
from backfilld.daemon.event_types import DateMoved
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.records import Actor, DateRow
from backfilld.state.rules.season_calendar import Day
from backfilld.state.store import calendar_days
from backfilld.state.store.database import Transaction


def run(
    tx: Transaction, context: EngineContext, ended: Sequence[DateRow], processors: Collection[str], by: Actor
) -> tuple[int | None, list[DateMoved]]:
    """Run processors of ended dates once, whatever their verdicts. Returns the backfill, and the moves.

    The gates stay closed where an upstream is missing. What is computed from the outputs becomes stale.
    """
    if not ended:
        return None, []
    names = tuple(name for name in context.pipeline.processors if name in processors)
    request = EnqueueRequest(
        dates=tuple(sorted(row.date for row in ended)),
        selection=names,
        force=True,
        priority=max(row.priority for row in ended),
        note=f"retry of {', '.join(names)}",
        by=by,
    )
    return store_retry(tx, context, request, {row.date: row for row in ended})


def off_reasons(
    tx: Transaction, context: EngineContext, ended: Collection[dt.date], processors: Collection[str]
) -> dict[dt.date, str]:
    """Why nothing would run: the dates on which none of the processors has an output."""
    if not processors:
        return {}
    off = off_by_processor(tx, context, ended, processors)
    return {date: "; ".join(why.values()) for date, why in off.items() if all(why.values())}


def off_by_processor(
    tx: Transaction, context: EngineContext, ended: Collection[dt.date], processors: Collection[str]
) -> dict[dt.date, dict[str, str]]:
    """Why each of the processors has no output, by date; an empty text where it has one."""
    counts = calendar_days.for_dates(tx, ended)
    days = [context.pipeline.seasons.day(date, of_date) for date, of_date in counts.items()]
    return {day.date: {name: _off(context.pipeline, name, day) for name in processors} for day in days}


def _off(pipeline: Pipeline, name: str, day: Day) -> str:
    """Why a processor has no output on a day; empty where it has one."""
    processor = pipeline.processors[name]
    if pipeline.expects(processor, day):
        return ""
    bootstrap = f"day {day.season_day} of {day.season} is a bootstrap day"
    reason = pipeline.off_reason(processor, day) if day.expected else day.reason
    return f"nothing is expected of {name}: {reason or bootstrap}"
