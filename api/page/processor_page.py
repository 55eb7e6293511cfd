"""The page of one processor: its rows over the dates with their bounds, and how long its attempts took."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

from flask import render_template

from backfilld.api.daemon_interface import DaemonService
from backfilld.api.endpoint_definition import parse
from backfilld.api.page import per_date_chart
from backfilld.api.page.per_date_chart import Bounds
from backfilld.api.page.template_responses import query_fields
from backfilld.api.schemas.request_parameters import ByDate
from backfilld.daemon.engine.operator_commands import NotFound
from backfilld.state.pipeline.processor import Processor
from backfilld.state.spelling_suggestions import did_you_mean
from backfilld.state.store import calendar_days, dates, grid

SPAN, SHORTEST = dt.timedelta(days=26 * 7), dt.timedelta(days=4 * 7)
"""How many dates a chart has at most, and at least: it ends with the last date that is known."""
DAY = dt.timedelta(days=1)


def processor(service: DaemonService, name: str) -> str:
    """Half a year of one processor, from `start` on; by default the latest."""
    known = service.pipeline.processors
    if name not in known:
        raise NotFound(f"there is no processor '{name}'; {did_you_mean(name, known)}")
    start, end = _window(service)
    with service.context.db.read() as tx:
        figures = grid.figures(tx, name, start, end)
        counts = calendar_days.between(tx, start, end)
    rows = {f.date: (float(f.rows), f.verdict) for f in figures if f.rows is not None}
    seconds = {f.date: (f.seconds, f.verdict) for f in figures if f.seconds is not None}
    return render_template(
        "processor.html",
        processor=known[name],
        start=start,
        end=end,
        before=start - SPAN,
        after=start + SPAN,
        rows=per_date_chart.draw(start, end, rows, _bounds(service, known[name], rows, counts)),
        seconds=per_date_chart.draw(start, end, seconds),
    )


def _window(service: DaemonService) -> tuple[dt.date, dt.date]:
    """The first and the last date of the charts."""
    fields = query_fields("start")
    with service.context.db.read() as tx:
        span = dates.span(tx)
    today = dt.datetime.fromtimestamp(service.context.now(), dt.UTC).date()
    first, last = span or (today, today)
    start = parse(ByDate, {"date": fields["start"]}).date if fields else max(first, last - SPAN + DAY)
    return start, min(start + SPAN - DAY, max(last, start + SHORTEST - DAY))


def _bounds(
    service: DaemonService,
    processor: Processor,
    dates: Mapping[dt.date, object],
    counts: Mapping[dt.date, Mapping[str, int] | None],
) -> dict[dt.date, Bounds]:
    """The rows that each date may have by the pipeline file as it is now, without comparison with others."""
    expectation = processor.expect.without_reference
    ranges = {
        date: expectation.row_range(service.pipeline.seasons.day(date, counts.get(date)), None)
        for date in dates
    }
    return {date: (allowed.least, allowed.most) for date, allowed in ranges.items()}
