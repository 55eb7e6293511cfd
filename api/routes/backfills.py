"""Backfills: create, list, pause, resume, cancel, retry."""

from __future__ import annotations

from typing import Any

from backfilld.api import serializers
from backfilld.api.auth.request_guard import current_actor
from backfilld.api.daemon_interface import DaemonService
from backfilld.api.endpoint_definition import Reply, Router
from backfilld.api.requested_processors import resolve_selection
from backfilld.api.schemas import (
    enqueue_result,
    list_query_parameters,
    request_parameters,
    responses,
    small_request_bodies,
)
from backfilld.api.schemas.field_types import next_cursor
from backfilld.api.schemas.new_backfill import NewBackfill
from backfilld.daemon.engine.audited_operator_change import no_backfill
from backfilld.daemon.engine.enqueue_models import DateResult, EnqueueRequest, EnqueueResult
from backfilld.daemon.engine.operator_commands import NotFound
from backfilld.daemon.engine.withdrawn_waiver_messages import withdrawn
from backfilld.daemon.reports.completeness_warnings import counts_outside_seasons
from backfilld.daemon.reports.stale_impact import becomes_stale, becomes_stale_by_missing
from backfilld.daemon.reports.waiting_on import waiting_on
from backfilld.state.pipeline.phase import FAILED
from backfilld.state.records import DateRow, EnqueueOutcome
from backfilld.state.rules.date_outcomes import Outcome
from backfilld.state.store import backfills, dates
from backfilld.state.store.backfills import BackfillDateRow

section = Router("backfills", "Requests for sets of dates")


@section.post(
    "/v1/backfills",
    enqueue_result.EnqueueResult,
    body=NewBackfill,
    header=request_parameters.IdempotencyKey,
    status=(201, 200),
    problems=(409,),
    headers=("Location",),
)
def create_backfill(
    service: DaemonService, *, body: NewBackfill, header: request_parameters.IdempotencyKey
) -> Reply:
    """Request dates; every requested date gets an outcome.

    A dry run (200) returns the same response and stores nothing. The same Idempotency-Key with the same body
    returns the first response again.
    """
    result = service.enqueuer.enqueue(
        EnqueueRequest(
            dates=body.requested,
            sources=body.sources,
            selection=resolve_selection(service.pipeline, body),
            force=body.force,
            priority=body.priority,
            max_failures=body.max_failures,
            note=body.note,
            by=current_actor(),
            key=None if body.dry_run else header.idempotency_key,
            digest=body.digest,
            dry_run=body.dry_run,
        )
    )
    answer = _enqueue_result(service, result, force=body.force)
    if result.id is None:
        return Reply(body=answer)
    return Reply(body=answer, status=201, headers={"Location": f"/v1/backfills/{result.id}"})


@section.get("/v1/backfills", responses.Backfills, query=list_query_parameters.BackfillsPage)
def list_backfills(
    service: DaemonService, *, query: list_query_parameters.BackfillsPage
) -> responses.Backfills:
    """Backfills, newest first."""
    with service.context.db.read() as tx:
        rows = backfills.page(tx, below=query.cursor, limit=query.limit + 1, live=query.live)
        items = [serializers.backfill(tx, service.context, row) for row in rows[: query.limit]]
    return responses.Backfills(items=items, next_cursor=next_cursor("id", rows, query.limit))


@section.get("/v1/backfills/{id}", responses.Backfill, path=request_parameters.ById, problems=(404,))
def get_backfill(service: DaemonService, *, path: request_parameters.ById) -> responses.Backfill:
    """One backfill."""
    return _backfill(service, path.id)


@section.get(
    "/v1/backfills/{id}/dates",
    responses.RequestedDates,
    path=request_parameters.ById,
    query=list_query_parameters.BackfillDatesPage,
    problems=(404,),
)
def list_backfill_dates(
    service: DaemonService, *, path: request_parameters.ById, query: list_query_parameters.BackfillDatesPage
) -> responses.RequestedDates:
    """The dates of a backfill, oldest first, each with its request outcome and its current state."""
    with service.context.db.read() as tx:
        if backfills.get(tx, path.id) is None:
            raise NotFound(no_backfill(path.id))
        rows = backfills.dates_page(tx, path.id, after=query.cursor, limit=query.limit + 1)
        page = rows[: query.limit]
        current = dates.get_many(tx, [row.date for row in page])
        waits = waiting_on(tx, service.context, list(current.values()))
    items = [_requested(row, current.get(row.date), waits.get(row.date)) for row in page]
    return responses.RequestedDates(items=items, next_cursor=next_cursor("date", rows, query.limit))


@section.post(
    "/v1/backfills/{id}/pause",
    responses.Backfill,
    path=request_parameters.ById,
    body=small_request_bodies.EmptyBody,
    problems=(404, 409),
)
def pause_backfill(
    service: DaemonService, *, path: request_parameters.ById, body: small_request_bodies.EmptyBody
) -> responses.Backfill:
    """Start no more jobs of a backfill; running jobs finish."""
    service.commands.pause(path.id, by=current_actor())
    return _backfill(service, path.id)


@section.post(
    "/v1/backfills/{id}/resume",
    responses.Backfill,
    path=request_parameters.ById,
    body=small_request_bodies.EmptyBody,
    problems=(404, 409),
)
def resume_backfill(
    service: DaemonService, *, path: request_parameters.ById, body: small_request_bodies.EmptyBody
) -> responses.Backfill:
    """Resume a paused or stopped backfill."""
    service.commands.resume(path.id, by=current_actor())
    return _backfill(service, path.id)


@section.post(
    "/v1/backfills/{id}/cancel",
    responses.Backfill,
    path=request_parameters.ById,
    body=small_request_bodies.EmptyBody,
    problems=(404, 409),
)
def cancel_backfill(
    service: DaemonService, *, path: request_parameters.ById, body: small_request_bodies.EmptyBody
) -> responses.Backfill:
    """Start no more jobs of a backfill and stop its running jobs."""
    service.commands.cancel(path.id, by=current_actor())
    return _backfill(service, path.id)


@section.post(
    "/v1/backfills/{id}/retry",
    responses.Backfill,
    path=request_parameters.ById,
    body=small_request_bodies.EmptyBody,
    problems=(404, 409),
)
def retry_backfill(
    service: DaemonService, *, path: request_parameters.ById, body: small_request_bodies.EmptyBody
) -> responses.Backfill:
    """Put the failed dates of a backfill back to `pending`; `withdrawn` names the waivers that this ends."""
    withdrawals = withdrawn_by_retry(service, path.id)
    retried = service.commands.retry(path.id, by=current_actor())
    return _backfill(service, path.id, retried=retried, withdrawn=withdrawals)


def withdrawn_by_retry(service: DaemonService, number: int) -> list[str]:
    """The failed dates of a backfill with the waivers that its retry withdraws, as texts."""
    with service.context.db.read() as tx:
        texts = withdrawn(tx, backfills.ended_dates(tx, number, FAILED))
    return [f"{date} {text}" for date, text in sorted(texts.items())]


def _backfill(service: DaemonService, number: int, **more: Any) -> responses.Backfill:
    with service.context.db.read() as tx:
        row = backfills.get(tx, number)
        if row is None:
            raise NotFound(no_backfill(number))
        return serializers.backfill(tx, service.context, row, **more)


def _becomes_stale(service: DaemonService, result: EnqueueResult, *, force: bool) -> dict[str, Any]:
    """The debt of a request, by processor; no field where there is none."""
    wanted = (EnqueueOutcome.ENQUEUED, EnqueueOutcome.JOINED)
    running = [detail.date for detail in result.details if detail.outcome in wanted]
    with service.context.db.read() as tx:
        if result.selection is None and not force:
            missing = {detail.date: detail.missing for detail in result.details if detail.missing}
            debt = becomes_stale_by_missing(tx, service.pipeline, missing)
        else:
            debt = becomes_stale(tx, service.pipeline, result.selection, running)
    return {"becomes_stale": debt} if debt else {}


def _warnings(result: EnqueueResult) -> dict[str, Any]:
    """What contradicts the outcomes, as a field; no field where nothing does."""
    outside = [detail.date for detail in result.details if detail.is_outside]
    return {"warnings": [counts_outside_seasons(outside)]} if outside else {}


def _enqueue_result(
    service: DaemonService, result: EnqueueResult, *, force: bool
) -> enqueue_result.EnqueueResult:
    return enqueue_result.EnqueueResult(
        id=result.id,
        start=result.start,
        end=result.end,
        dates=len(result.details),
        select=None if result.selection is None else list(result.selection),
        outcomes=result.outcomes,
        **_becomes_stale(service, result, force=force),
        **_warnings(result),
        details=[_detail(detail) for detail in result.details],
    )


def _detail(detail: DateResult) -> enqueue_result.DateResult:
    proof: dict[str, Any] = {"verdicts": dict(detail.verdicts)} if detail.verdicts else {}
    return enqueue_result.DateResult(date=detail.date, outcome=detail.outcome, reason=detail.reason, **proof)


def _requested(
    row: BackfillDateRow, current: DateRow | None, waiting_on: str | None
) -> responses.RequestedDate:
    """A date as it ended for this backfill; else its current state."""
    ended_here = bool(row.state) and current is not None and current.version == row.ended_version
    outcome = row.outcome if row.state else current.outcome if current else ""
    return responses.RequestedDate(
        date=row.date,
        request_outcome=EnqueueOutcome(row.answer),
        reason=current.reason if current and ended_here and current.state == FAILED else row.reason,
        state=row.state or (current.state if current else None),
        outcome=Outcome(outcome) if outcome else None,
        waiting_on=None if row.state else waiting_on,
    )
