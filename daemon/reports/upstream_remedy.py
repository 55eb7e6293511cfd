"""The command that fills at once what a date is missing upstream on dates that no backfill works on."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from itertools import chain

from backfilld.daemon.engine.context import EngineContext
from backfilld.state.pipeline.phase import DONE
from backfilld.state.rules.needs_graph import NeedsGraph
from backfilld.state.rules.processor_selection import upstream_command
from backfilld.state.store import calendar_days, dates, done_and_lookback_date_checks
from backfilld.state.store.database import Transaction


def fill_command(
    tx: Transaction, context: EngineContext, graph: NeedsGraph, processors: Collection[str], date: dt.date
) -> str:
    """The command for what processors of a date need and miss; empty where no enqueue fills it.

    Dates that are live or failed are left out: a live one is filled by itself, and for a failed one another
    command helps.
    """
    missing = _missing(tx, context, graph, processors, date)
    if not missing:
        return ""
    direct = {name for need in graph.earlier(processors) for name in need.of}
    names = [name for name in context.pipeline.processors if name in direct & missing.keys()]
    return upstream_command(set(chain(*missing.values())), names)


def _missing(
    tx: Transaction, context: EngineContext, graph: NeedsGraph, processors: Collection[str], date: dt.date
) -> dict[str, set[dt.date]]:
    """The missing dates of each processor before a date that an enqueue would fill."""
    pipeline = context.pipeline
    reach = graph.missing_upstream(processors, date, lambda _, day: day < date)
    if not reach:
        return {}
    first = min(chain(*reach.values()))
    settled = done_and_lookback_date_checks.settled_between(tx, reach, first, date)
    counts = calendar_days.between(tx, first, date)
    states = dates.states_between(tx, first, date)

    def is_missing(name: str, day: dt.date) -> bool:
        if day >= date or (name, day) in settled or states.get(day, DONE) != DONE:
            return False
        return pipeline.expects(pipeline.processors[name], pipeline.seasons.day(day, counts.get(day)))

    return graph.missing_upstream(processors, date, is_missing)
