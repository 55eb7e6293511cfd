"""The debt of a request: on how many dates outputs become stale once its jobs have run."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence

from backfilld.daemon.engine import missing_upstream
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.rules.dates_between import dates_between
from backfilld.state.rules.needs_graph import Span
from backfilld.state.rules.stale_reach import stale_reach
from backfilld.state.store import dates
from backfilld.state.store.database import Transaction
from backfilld.state.store.dates_with_output import count_outputs


def becomes_stale(
    tx: Transaction, pipeline: Pipeline, selection: Collection[str] | None, rewritten: Collection[dt.date]
) -> Mapping[str, int]:
    """By processor: on how many dates, at most, its output becomes stale once the selected ones have run.

    Those dates count where the file lets it have output. A later date counts where there is output, or may
    be.
    """
    if not rewritten:
        return {}
    names = pipeline.processors if selection is None else selection
    last = max([*rewritten, *(dates.span(tx) or ())])
    reach = stale_reach(missing_upstream.needs_graph(tx, pipeline), names, rewritten, last)
    others = count_outputs(tx, {name: of_one.other_dates for name, of_one in reach.items()})
    debt = {
        name: _dates_with_output(pipeline, name, reach[name].rewritten_dates) + others[name]
        for name in pipeline.processors
        if name in reach
    }
    return {name: n for name, n in debt.items() if n}


def _dates_with_output(pipeline: Pipeline, name: str, spans: Sequence[Span]) -> int:
    """On how many dates of the spans the file lets a processor have output."""
    processor = pipeline.processors[name]
    days = (
        pipeline.seasons.day(date, None) for span in spans for date in dates_between(span.first, span.last)
    )
    return sum(day.expected and not pipeline.off_reason(processor, day) for day in days)
