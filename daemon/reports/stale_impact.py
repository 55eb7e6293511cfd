"""The debt of a request: on how many dates outputs become stale once its jobs have run."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from backfilld.daemon.engine import missing_upstream
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.rules.dates_between import dates_between
from backfilld.state.rules.interval_sets import Interval, merged, without
from backfilld.state.rules.needs_graph import Span
from backfilld.state.rules.stale_reach import as_interval, as_span, stale_reach
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


def becomes_stale_by_missing(
    tx: Transaction, pipeline: Pipeline, missing: Mapping[dt.date, Collection[str]]
) -> Mapping[str, int]:
    """By processor: on how many dates, at most, its output becomes stale once what is missing has run.

    `missing` has the outputs that run by date; all others are complete, and stay as they are.
    """
    dates_of: dict[str, list[dt.date]] = defaultdict(list)
    for date, names in missing.items():
        for name in names:
            dates_of[name].append(date)
    if not dates_of:
        return {}
    surely: dict[str, list[dt.date]] = defaultdict(list)
    for date, names in missing.items():
        for name in names:
            # What is compared with a missing output may be complete once that is there, and is older then.
            if pipeline.references.get(name) not in names:
                surely[name].append(date)
    graph, last = missing_upstream.needs_graph(tx, pipeline), max([*missing, *(dates.span(tx) or ())])
    reached: dict[str, list[Interval]] = defaultdict(list)
    for name, of_one in dates_of.items():
        for other, reach in stale_reach(graph, [name], of_one, last).items():
            reached[other] += map(as_interval, (*reach.rewritten_dates, *reach.other_dates))
    spans = {
        name: [as_span(interval) for interval in without(merged(of_one), merged(map(_of_date, surely[name])))]
        for name, of_one in reached.items()
    }
    counts = count_outputs(tx, spans)
    return {name: counts[name] for name in pipeline.processors if counts.get(name)}


def _of_date(date: dt.date) -> Interval:
    return as_interval(Span(date, date))


def _dates_with_output(pipeline: Pipeline, name: str, spans: Sequence[Span]) -> int:
    """On how many dates of the spans the file lets a processor have output."""
    processor = pipeline.processors[name]
    days = (
        pipeline.seasons.day(date, None) for span in spans for date in dates_between(span.first, span.last)
    )
    return sum(day.expected and not pipeline.off_reason(processor, day) for day in days)
