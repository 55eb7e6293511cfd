"""For which dates the calendar must be known so that a date can be judged and moved. Pure."""

from __future__ import annotations

import datetime as dt

from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.rules.expectations.earlier_dates import window
from backfilld.state.rules.needs_graph import NeedsGraph
from backfilld.state.rules.processor_periods import period_key


def calendar_start(pipeline: Pipeline, graph: NeedsGraph, date: dt.date) -> dt.date:
    """The first date whose calendar must be known to handle `date` and those after it.

    A rule may compare with the days before, and a need waits for those of its window.
    """
    days = max((p.expect.days_compared for p in pipeline.processors.values()), default=0)
    compared = [window(date, days)[0]] if days else []
    period_start = calendar_bounds(pipeline, date)[0]
    return min([date, period_start, *compared, *(graph.start(need, date) for need in graph.all_earlier)])


def calendar_span(
    pipeline: Pipeline, graph: NeedsGraph, start: dt.date, end: dt.date
) -> tuple[dt.date, dt.date]:
    """The first and the last date whose calendar must be known to handle those from `start` to `end`."""
    return calendar_start(pipeline, graph, start), calendar_bounds(pipeline, end)[1]


def calendar_bounds(pipeline: Pipeline, date: dt.date) -> tuple[dt.date, dt.date]:
    """The first and the last date whose calendar says which dates belong to the periods of a date."""
    keys = [period_key(processor, date) for processor in pipeline.with_period]
    return min([date, *(first for _, first, _ in keys)]), max([date, *(last for _, _, last in keys)])
