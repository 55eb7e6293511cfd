"""Dates: their state and its reason, retry and accept."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from flask import Response

from backfilld.api import serializers
from backfilld.api.auth.request_guard import current_actor
from backfilld.api.backfill_or_season_scope import date_scope
from backfilld.api.daemon_interface import DaemonService
from backfilld.api.endpoint_definition import Reply, Router
from backfilld.api.problem_responses import BadInput
from backfilld.api.schemas import list_query_parameters, request_parameters, responses, retry_and_accept
from backfilld.api.schemas.calendar import Calendar
from backfilld.api.schemas.field_types import next_cursor
from backfilld.daemon.engine.bulk_request import NEVER_ENQUEUED, DateQuery
from backfilld.daemon.engine.context import EngineContext
from backfilld.daemon.engine.enqueue_models import EARLIEST, LATEST
from backfilld.daemon.engine.operator_commands import NotFound
from backfilld.daemon.engine.retry_dates import Retry
from backfilld.daemon.reports.cascade_reach import NO_REACH, CascadeReach, cascade_reach
from backfilld.daemon.reports.waiting_on import waiting_on, with_holds
from backfilld.state.records import CheckRow, DateRow, Mark
from backfilld.state.spelling_suggestions import did_you_mean
from backfilld.state.store import (
    attempts,
    backfill_dates,
    calendar_days,
    check_command_runs,
    checks,
    dates,
    pace_and_calendar_queries,
    stale_marks,
    transitions,
)
from backfilld.state.store.database import Transaction
from backfilld.state.store.date_filters import DateFilter

section = Router("dates", "Dates, each with one state machine")
DAY = dt.timedelta(days=1)
_STATUS_FIELDS = responses.DateSummary.model_fields.keys() & responses.DateDetail.model_fields.keys() - {
    "date",
    "season",
}
"""Fields that one date shares with its line in a list; its season comes from the calendar."""


@section.get("/v1/dates", responses.Dates, query=list_query_parameters.DatesPage)
def list_dates(service: DaemonService, *, query: list_query_parameters.DatesPage) -> responses.Dates:
    """Dates that were ever enqueued, oldest first."""
    start, end = query.start or EARLIEST, query.end or LATEST
    first = start if query.cursor is None else max(start, query.cursor + DAY)
    states = _states(service.context, query.state)
    with service.context.db.read() as tx:
        more = list(_filter(tx, service.context, query).conditions())
        number = pace_and_calendar_queries.number_of_dates(
            tx, start=start, end=end, states=states, mark=query.mark, more=more
        )
        rows = dates.page(
            tx, start=first, end=end, states=states, mark=query.mark, more=more, limit=query.limit + 1
        )
        page = with_holds(tx, rows[: query.limit])
        items = _summaries(tx, service.context, page)
    following = next_cursor("date", rows, query.limit)
    return responses.Dates(start=query.start, end=query.end, dates=number, items=items, next_cursor=following)


@section.get(
    "/v1/calendar", Calendar, header=request_parameters.IfNoneMatch, status=(200, 304), headers=("ETag",)
)
def get_calendar(service: DaemonService, *, header: request_parameters.IfNoneMatch) -> Reply | Response:
    """The state of every date, in few bytes: made for polling.

    Send the ETag back as If-None-Match: the response is a cheap 304 until a date changes its state.
    """
    with service.context.db.read() as tx:
        version = pace_and_calendar_queries.calendar_version(tx)
        etag = {"ETag": f'"{version}"'}
        if header.if_none_match == etag["ETag"]:
            return Response(status=304, headers=etag)
        return Reply(body=serializers.calendar(version, pace_and_calendar_queries.calendar(tx)), headers=etag)


@section.get("/v1/dates/{date}", responses.DateDetail, path=request_parameters.ByDate, problems=(404,))
def get_date(service: DaemonService, *, path: request_parameters.ByDate) -> responses.DateDetail:
    """Everything about one date: verdicts with their figures, attempts, transitions."""
    return _date(service, path.date)


@section.post(
    "/v1/dates/{date}/retry",
    responses.DateDetail,
    path=request_parameters.ByDate,
    body=retry_and_accept.RetryDate,
    problems=(404, 409),
)
def retry_date(
    service: DaemonService, *, path: request_parameters.ByDate, body: retry_and_accept.RetryDate
) -> responses.DateDetail:
    """Put an ended date back to `pending`; with `cascade` also the dates that are stale because of it.

    With `processor` a backfill of its own runs that one alone, once.
    """
    if body.processor is not None:
        withdrawn = service.commands.retry_processor(path.date, body.processor, by=current_actor())
    else:
        withdrawn = service.commands.retry_date(
            path.date, by=current_actor(), force=body.force, cascades=body.cascade
        )
    return _date(service, path.date).model_copy(update={"withdrawn": withdrawn or None})


@section.post("/v1/dates/retry", responses.DateAnswers, body=retry_and_accept.RetryDates, problems=(404, 409))
def retry_dates(service: DaemonService, *, body: retry_and_accept.RetryDates) -> responses.DateAnswers:
    """Put ended dates back to `pending`; each date has its own answer.

    Regressed dates run what is missing. Dates with the mark `stale` run what is stale of them once, and then
    what becomes stale by that. A range without a filter is for its failed and regressed dates.
    """
    how = Retry(
        force=body.force, cascades=body.cascade, processors=body.processors or (), dry_run=body.dry_run
    )
    query = _query(service.context, body)
    reach = _reach(service, query, how)
    return serializers.date_answers(service.commands.retry_dates(query, how, by=current_actor()), reach)


@section.post(
    "/v1/dates/accept", responses.DateAnswers, body=retry_and_accept.AcceptDates, problems=(404, 409)
)
def accept_dates(service: DaemonService, *, body: retry_and_accept.AcceptDates) -> responses.DateAnswers:
    """Waive missing outputs of dates; each date has its own answer.

    Without `processors` every output that is missing, and that a job has tried. One date or a list of dates,
    with `processors`, also waives in advance: before the date is enqueued, or before its turn.
    """
    query = _query(service.context, body)
    answers = service.commands.accept_dates(
        query, body.processors or (), by=current_actor(), reason=body.reason
    )
    return serializers.date_answers(answers)


@section.post(
    "/v1/dates/{date}/accept",
    responses.DateDetail,
    path=request_parameters.ByDate,
    body=retry_and_accept.Accept,
    problems=(404, 409),
)
def accept_date(
    service: DaemonService, *, path: request_parameters.ByDate, body: retry_and_accept.Accept
) -> responses.DateDetail:
    """Waive the output of a processor: the date may pass without it."""
    service.commands.accept(path.date, body.processor, by=current_actor(), reason=body.reason)
    return _date(service, path.date)


def _reach(service: DaemonService, query: DateQuery, how: Retry) -> CascadeReach:
    """Which other dates a retry concerns, where it is a cascade."""
    if not (how.cascades or query.mark is Mark.STALE):
        return NO_REACH
    chosen = service.commands.retry_dates(query, replace(how, dry_run=True), by=current_actor()).changed
    with service.context.db.read() as tx:
        return cascade_reach(tx, service.context.pipeline, chosen, force=how.force)


def _query(context: EngineContext, body: retry_and_accept.DatesBody) -> DateQuery:
    """The dates of a body. Processors choose among them only with a verdict."""
    return DateQuery(
        dates=body.dates,
        start=body.start,
        end=body.end,
        states=_states(context, body.state),
        mark=body.mark,
        more=DateFilter(
            outcomes=body.outcome or (),
            processors=(body.verdict and body.processors) or (),
            verdicts=body.verdict or (),
        ),
    )


def _filter(tx: Transaction, context: EngineContext, query: list_query_parameters.DatesPage) -> DateFilter:
    known = context.pipeline.processors
    if query.processor is not None and query.processor not in known:
        message = f"there is no processor '{query.processor}'; {did_you_mean(query.processor, known)}"
        raise BadInput.for_field("processor", message)
    return DateFilter(
        outcomes=query.outcome or (),
        processors=(query.processor,) if query.processor else (),
        verdicts=query.verdict or (),
        reason=query.reason or "",
        scope=date_scope(tx, context.pipeline, query),
    )


def _states(context: EngineContext, wanted: str | None) -> list[str]:
    states = wanted.split(",") if wanted else []
    for state in states:
        if state not in context.machine.states:
            raise BadInput.for_field(
                "state", f"there is no state '{state}'; {did_you_mean(state, context.machine.states)}"
            )
    return states


def _date(service: DaemonService, date: dt.date) -> responses.DateDetail:
    context = service.context
    with context.db.read() as tx:
        row = dates.get(tx, date)
        checked = checks.for_dates(tx, [date])[date]
        if row is None and not checked:
            raise NotFound(f"{date} {NEVER_ENQUEUED}")
        day = context.pipeline.seasons.day(date, calendar_days.between(tx, date, date).get(date))
        return responses.DateDetail(
            **_status(tx, context, row),
            date=date,
            wanted_by=[interest.backfill_id for interest in backfill_dates.owners(tx, [date]).get(date, ())],
            counts=dict(day.counts),
            season=day.season,
            season_day=day.season_day,
            processors=[
                serializers.check(check, context.pipeline, context.now())
                for check in check_command_runs.attached(
                    tx, _in_order(context, checked), context.pipeline.check_commands
                )
            ],
            attempts=serializers.attempts(tx, attempts.for_date(tx, date), context.pipeline),
            transitions=[serializers.transition(move) for move in transitions.history(tx, date)],
        )


def _status(tx: Transaction, context: EngineContext, row: DateRow | None) -> dict[str, Any]:
    """State and marks of a date; all None if it was never enqueued and is only a lookback of later dates."""
    if row is None:
        return {"version": None, **dict.fromkeys(_STATUS_FIELDS)}
    (summary,) = _summaries(tx, context, with_holds(tx, [row]))
    return {"version": row.version, **summary.model_dump(include=_STATUS_FIELDS)}


def _summaries(
    tx: Transaction, context: EngineContext, rows: Sequence[DateRow]
) -> list[responses.DateSummary]:
    """The dates with what each waits for, and which of its outputs are stale."""
    waits = waiting_on(tx, context, rows)
    stale = stale_marks.stale_outputs(tx, [row.date for row in rows if row.stale_at is not None])
    return [serializers.date_summary(row, waits.get(row.date), stale.get(row.date, {})) for row in rows]


def _in_order(context: EngineContext, checked: Mapping[str, CheckRow]) -> list[CheckRow]:
    """Checks in the order of the pipeline file; processors that it no longer has come last."""
    order = {name: number for number, name in enumerate(context.pipeline.processors)}
    return sorted(
        checked.values(), key=lambda check: (order.get(check.processor, len(order)), check.processor)
    )
