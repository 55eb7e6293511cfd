"""Dates: where each stands and why, and what a person can do about it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from flask import Response

from backfilld.api import serializers
from backfilld.api.auth.request_guard import current_actor
from backfilld.api.endpoint import Reply, Router
from backfilld.api.ports import DaemonService
from backfilld.api.problems import BadInput
from backfilld.api.schemas import requests, responses
from backfilld.api.schemas.calendar import Calendar
from backfilld.api.schemas.fields import next_cursor
from backfilld.daemon.engine.commands import NotFound
from backfilld.daemon.engine.context import EngineContext
from backfilld.daemon.engine.enqueue import EARLIEST, LATEST
from backfilld.daemon.reports.waiting import waiting_on
from backfilld.state.records import CheckRow, DateRow
from backfilld.state.store import attempts, calendar_days, checks, dates, queries, transitions
from backfilld.state.store.database import Transaction
from backfilld.state.suggestions import did_you_mean

section = Router("dates", "Dates, each with one state machine")
DAY = dt.timedelta(days=1)
_STANDING = responses.DateSummary.model_fields.keys() & responses.Date.model_fields.keys() - {
    "date",
    "season",
}
"""What one date tells as its line in a list does; its season comes from the calendar."""


@section.get("/v1/dates", responses.Dates, query=requests.DatesPage)
def list_(service: DaemonService, *, query: requests.DatesPage) -> responses.Dates:
    """Dates that were ever enqueued, oldest first."""
    start, end = query.start or EARLIEST, query.end or LATEST
    first = start if query.cursor is None else max(start, query.cursor + DAY)
    states, limit = _states(service.context, query.state), query.limit + 1
    with service.context.db.read() as tx:
        number = queries.number_of_dates(tx, start=start, end=end, states=states, mark=query.mark)
        found = dates.page(tx, start=first, end=end, states=states, mark=query.mark, limit=limit)
        shown = found[: query.limit]
        waits = waiting_on(tx, service.context, shown)
    items = [serializers.date_summary(row, waits.get(row.date)) for row in shown]
    following = next_cursor("date", found, query.limit)
    return responses.Dates(start=query.start, end=query.end, dates=number, items=items, next_cursor=following)


@section.get("/v1/calendar", Calendar, header=requests.IfNoneMatch, status=(200, 304), headers=("ETag",))
def calendar(service: DaemonService, *, header: requests.IfNoneMatch) -> Reply | Response:
    """Where every date stands, in few bytes: made for asking again and again.

    Send the ETag back as If-None-Match; while no date has moved, the answer is 304 and costs next to nothing.
    """
    with service.context.db.read() as tx:
        version = queries.calendar_version(tx)
        etag = {"ETag": f'"{version}"'}
        if header.if_none_match == etag["ETag"]:
            return Response(status=304, headers=etag)
        return Reply(body=serializers.calendar(version, queries.calendar(tx)), headers=etag)


@section.get("/v1/dates/{date}", responses.Date, which=requests.ByDate, problems=(404,))
def get(service: DaemonService, *, which: requests.ByDate) -> responses.Date:
    """Everything about one date: verdicts with their figures, attempts, history."""
    return _told(service, which.date)


@section.post(
    "/v1/dates/{date}/retry",
    responses.Date,
    which=requests.ByDate,
    body=requests.RetryDate,
    problems=(404, 409),
)
def retry(service: DaemonService, *, which: requests.ByDate, body: requests.RetryDate) -> responses.Date:
    """Put an ended date back to `pending`; with `cascade` also what is stale because of it."""
    service.commands.retry_date(which.date, by=current_actor(), force=body.force, cascades=body.cascade)
    return _told(service, which.date)


@section.post("/v1/dates/retry", responses.Retried, body=requests.RetryMarked)
def retry_marked(service: DaemonService, *, body: requests.RetryMarked) -> responses.Retried:
    """Put the done dates with a mark back to `pending`.

    Regressed ones run what they lack, stale ones run their sequential phases once.
    """
    start, end = body.start or EARLIEST, body.end or LATEST
    found = service.commands.retry_marked(body.mark, start, end, by=current_actor())
    return responses.Retried(retried=len(found), dates=found)


@section.post(
    "/v1/dates/{date}/accept",
    responses.Date,
    which=requests.ByDate,
    body=requests.Accept,
    problems=(404, 409),
)
def accept(service: DaemonService, *, which: requests.ByDate, body: requests.Accept) -> responses.Date:
    """Accept a gap: the date may pass without this processor's output."""
    service.commands.accept(which.date, body.processor, by=current_actor(), reason=body.reason)
    return _told(service, which.date)


def _states(context: EngineContext, wanted: str | None) -> list[str]:
    chosen = wanted.split(",") if wanted else []
    for state in chosen:
        if state not in context.machine.states:
            raise BadInput.of(
                "state", f"there is no state '{state}'; {did_you_mean(state, context.machine.states)}"
            )
    return chosen


def _told(service: DaemonService, date: dt.date) -> responses.Date:
    context = service.context
    with context.db.read() as tx:
        row = dates.get(tx, date)
        own = checks.for_dates(tx, [date])[date]
        if row is None and not own:
            raise NotFound(f"{date} was never enqueued")
        day = context.pipeline.seasons.day(date, calendar_days.between(tx, date, date).get(date))
        return responses.Date(
            **_standing(tx, context, row),
            date=date,
            games=day.games,
            season=day.season,
            season_day=day.season_day,
            processors=[serializers.check(check, context.pipeline) for check in _in_order(context, own)],
            attempts=serializers.attempts(tx, attempts.for_date(tx, date)),
            transitions=[serializers.transition(move) for move in transitions.history(tx, date)],
        )


def _standing(tx: Transaction, context: EngineContext, row: DateRow | None) -> dict[str, Any]:
    """Where a date stands; nowhere, when nobody enqueued it and later dates only look back at it."""
    if row is None:
        return {"version": None, **dict.fromkeys(_STANDING)}
    summary = serializers.date_summary(row, waiting_on(tx, context, [row]).get(row.date))
    return {"version": row.version, **summary.model_dump(include=_STANDING)}


def _in_order(context: EngineContext, own: Mapping[str, CheckRow]) -> list[CheckRow]:
    """In the order of the pipeline file; what it no longer has comes last."""
    order = {name: number for number, name in enumerate(context.pipeline.processors)}
    return sorted(own.values(), key=lambda check: (order.get(check.processor, len(order)), check.processor))
