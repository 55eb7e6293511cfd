"""Dates: where each stands and why, and what a person can do about it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from flask import Response

from api import telling
from api.access.guard import caller
from api.endpoint import Reply, Section
from api.problems import BadInput
from api.schemas import asked, told
from api.schemas.calendar import Calendar
from api.schemas.fields import next_cursor
from api.served import Served
from daemon.control import NotFound
from daemon.core import Core
from daemon.enqueue import EARLIEST, LATEST
from daemon.reports.waiting import waiting_on
from state.hints import hint
from state.records import CheckRow, DateRow
from state.store import attempts, checks, dates, days, reading
from state.store.database import Transaction

section = Section("dates", "Dates, each with one state machine")
DAY = dt.timedelta(days=1)
_STANDING = told.DateSummary.model_fields.keys() & told.Date.model_fields.keys() - {"date", "season"}
"""What one date tells as its line in a list does; its season comes from the calendar."""


@section.get("/v1/dates", told.Dates, query=asked.DatesPage)
def listed(service: Served, *, query: asked.DatesPage) -> told.Dates:
    """Dates that were ever enqueued, oldest first."""
    start, end = query.start or EARLIEST, query.end or LATEST
    first = start if query.cursor is None else max(start, query.cursor + DAY)
    states, limit = _states(service.core, query.state), query.limit + 1
    with service.core.db.read() as tx:
        number = reading.number_of_dates(tx, start=start, end=end, states=states, mark=query.mark)
        found = dates.page(tx, start=first, end=end, states=states, mark=query.mark, limit=limit)
        shown = found[: query.limit]
        waits = waiting_on(tx, service.core, shown)
    items = [telling.date_summary(row, waits.get(row.date)) for row in shown]
    following = next_cursor("date", found, query.limit)
    return told.Dates(start=query.start, end=query.end, dates=number, items=items, next_cursor=following)


@section.get("/v1/calendar", Calendar, header=asked.IfNoneMatch, status=(200, 304), headers=("ETag",))
def calendar(service: Served, *, header: asked.IfNoneMatch) -> Reply | Response:
    """Where every date stands, in few bytes: made for asking again and again.

    Send the ETag back as If-None-Match; while no date has moved, the answer is 304 and costs next to nothing.
    """
    with service.core.db.read() as tx:
        version = reading.calendar_version(tx)
        etag = {"ETag": f'"{version}"'}
        if header.if_none_match == etag["ETag"]:
            return Response(status=304, headers=etag)
        return Reply(body=telling.calendar(version, reading.calendar(tx)), headers=etag)


@section.get("/v1/dates/{date}", told.Date, which=asked.ByDate, problems=(404,))
def one(service: Served, *, which: asked.ByDate) -> told.Date:
    """Everything about one date: verdicts with their figures, attempts, history."""
    return _told(service, which.date)


@section.post(
    "/v1/dates/{date}/retry", told.Date, which=asked.ByDate, body=asked.RetryDate, problems=(404, 409)
)
def retry(service: Served, *, which: asked.ByDate, body: asked.RetryDate) -> told.Date:
    """Put an ended date back to `pending`; with `cascade` also what is stale because of it."""
    service.control.retry_date(which.date, by=caller(), force=body.force, cascades=body.cascade)
    return _told(service, which.date)


@section.post("/v1/dates/retry", told.Retried, body=asked.RetryMarked)
def retry_marked(service: Served, *, body: asked.RetryMarked) -> told.Retried:
    """Put the done dates with a mark back to `pending`.

    Regressed ones run what they lack, stale ones run their sequential phases once.
    """
    start, end = body.start or EARLIEST, body.end or LATEST
    found = service.control.retry_marked(body.mark, start, end, by=caller())
    return told.Retried(retried=len(found), dates=found)


@section.post(
    "/v1/dates/{date}/accept", told.Date, which=asked.ByDate, body=asked.Accept, problems=(404, 409)
)
def accept(service: Served, *, which: asked.ByDate, body: asked.Accept) -> told.Date:
    """Accept a gap: the date may pass without this processor's output."""
    service.control.accept(which.date, body.processor, by=caller(), reason=body.reason)
    return _told(service, which.date)


def _states(core: Core, wanted: str | None) -> list[str]:
    chosen = wanted.split(",") if wanted else []
    for state in chosen:
        if state not in core.machine.states:
            raise BadInput.of("state", f"there is no state '{state}'; {hint(state, core.machine.states)}")
    return chosen


def _told(service: Served, date: dt.date) -> told.Date:
    core = service.core
    with core.db.read() as tx:
        row = dates.get(tx, date)
        own = checks.of_dates(tx, [date])[date]
        if row is None and not own:
            raise NotFound(f"{date} was never enqueued")
        day = core.pipeline.seasons.day(date, days.known(tx, date, date).get(date))
        return told.Date(
            **_standing(tx, core, row),
            date=date,
            games=day.games,
            season=day.season,
            season_day=day.season_day,
            processors=[telling.check(check, core.pipeline) for check in _in_order(core, own)],
            attempts=telling.attempts(tx, attempts.of_date(tx, date)),
            transitions=[telling.transition(move) for move in dates.history(tx, date)],
        )


def _standing(tx: Transaction, core: Core, row: DateRow | None) -> dict[str, Any]:
    """Where a date stands; nowhere, when nobody enqueued it and later dates only look back at it."""
    if row is None:
        return {"version": None, **dict.fromkeys(_STANDING)}
    summary = telling.date_summary(row, waiting_on(tx, core, [row]).get(row.date))
    return {"version": row.version, **summary.model_dump(include=_STANDING)}


def _in_order(core: Core, own: Mapping[str, CheckRow]) -> list[CheckRow]:
    """In the order of the pipeline file; what it no longer has comes last."""
    order = {name: number for number, name in enumerate(core.pipeline.processors)}
    return sorted(own.values(), key=lambda check: (order.get(check.processor, len(order)), check.processor))
