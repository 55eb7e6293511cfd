"""Backfills: asked for, listed, and steered."""

from __future__ import annotations

from typing import Any

from backfilld.api import serializers
from backfilld.api.auth.request_guard import current_actor
from backfilld.api.endpoint import Reply, Router
from backfilld.api.ports import DaemonService
from backfilld.api.schemas import requests, responses
from backfilld.api.schemas.fields import next_cursor
from backfilld.daemon.engine.commands import NotFound
from backfilld.daemon.engine.enqueue import DateResult, EnqueueRequest, EnqueueResult
from backfilld.daemon.reports.waiting import waiting_on
from backfilld.state.pipeline.phase import FAILED
from backfilld.state.records import DateRow, EnqueueOutcome
from backfilld.state.store import backfills, dates
from backfilld.state.store.backfills import BackfillDateRow

section = Router("backfills", "Requests for sets of dates")


@section.post(
    "/v1/backfills",
    responses.EnqueueResult,
    body=requests.NewBackfill,
    header=requests.IdempotencyKey,
    status=(201, 200),
    problems=(409,),
    headers=("Location",),
)
def create(service: DaemonService, *, body: requests.NewBackfill, header: requests.IdempotencyKey) -> Reply:
    """Ask for dates; every one of them gets an answer.

    A dry run (200) answers alike and stores nothing. The same Idempotency-Key with the same body gives
    the first answer again.
    """
    receipt = service.enqueuer.enqueue(
        EnqueueRequest(
            dates=body.chosen,
            sources=body.sources,
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
    if receipt.id is None:
        return Reply(body=_receipt(receipt))
    return Reply(body=_receipt(receipt), status=201, headers={"Location": f"/v1/backfills/{receipt.id}"})


@section.get("/v1/backfills", responses.Backfills, query=requests.BackfillsPage)
def list_(service: DaemonService, *, query: requests.BackfillsPage) -> responses.Backfills:
    """Backfills, newest first."""
    with service.context.db.read() as tx:
        found = backfills.page(tx, below=query.cursor, limit=query.limit + 1)
        items = [serializers.backfill(tx, row) for row in found[: query.limit]]
    return responses.Backfills(items=items, next_cursor=next_cursor("id", found, query.limit))


@section.get("/v1/backfills/{id}", responses.Backfill, which=requests.ById, problems=(404,))
def get(service: DaemonService, *, which: requests.ById) -> responses.Backfill:
    """One backfill."""
    return _told(service, which.id)


@section.get(
    "/v1/backfills/{id}/dates",
    responses.RequestedDates,
    which=requests.ById,
    query=requests.BackfillDatesPage,
    problems=(404,),
)
def list_dates(
    service: DaemonService, *, which: requests.ById, query: requests.BackfillDatesPage
) -> responses.RequestedDates:
    """The dates of a backfill, oldest first, with the answer each got and where it stands."""
    with service.context.db.read() as tx:
        if backfills.get(tx, which.id) is None:
            raise NotFound(f"there is no backfill {which.id}")
        found = backfills.dates_page(tx, which.id, after=query.cursor, limit=query.limit + 1)
        shown = found[: query.limit]
        held = dates.get_many(tx, [row.date for row in shown])
        waits = waiting_on(tx, service.context, list(held.values()))
    items = [_requested(which.id, row, held.get(row.date), waits.get(row.date)) for row in shown]
    return responses.RequestedDates(items=items, next_cursor=next_cursor("date", found, query.limit))


@section.post(
    "/v1/backfills/{id}/pause",
    responses.Backfill,
    which=requests.ById,
    body=requests.EmptyBody,
    problems=(404, 409),
)
def pause(service: DaemonService, *, which: requests.ById, body: requests.EmptyBody) -> responses.Backfill:
    """Start nothing more of a backfill; what runs ends by itself."""
    service.commands.pause(which.id, by=current_actor())
    return _told(service, which.id)


@section.post(
    "/v1/backfills/{id}/resume",
    responses.Backfill,
    which=requests.ById,
    body=requests.EmptyBody,
    problems=(404, 409),
)
def resume(service: DaemonService, *, which: requests.ById, body: requests.EmptyBody) -> responses.Backfill:
    """Go on with a paused or stopped backfill."""
    service.commands.resume(which.id, by=current_actor())
    return _told(service, which.id)


@section.post(
    "/v1/backfills/{id}/cancel",
    responses.Backfill,
    which=requests.ById,
    body=requests.EmptyBody,
    problems=(404, 409),
)
def cancel(service: DaemonService, *, which: requests.ById, body: requests.EmptyBody) -> responses.Backfill:
    """Start nothing more of a backfill and end what runs."""
    service.commands.cancel(which.id, by=current_actor())
    return _told(service, which.id)


@section.post(
    "/v1/backfills/{id}/retry",
    responses.Backfill,
    which=requests.ById,
    body=requests.EmptyBody,
    problems=(404, 409),
)
def retry(service: DaemonService, *, which: requests.ById, body: requests.EmptyBody) -> responses.Backfill:
    """Put the failed dates of a backfill back to `pending`."""
    retried = service.commands.retry(which.id, by=current_actor())
    return _told(service, which.id, retried=retried)


def _told(service: DaemonService, number: int, **more: int) -> responses.Backfill:
    with service.context.db.read() as tx:
        row = backfills.get(tx, number)
        if row is None:
            raise NotFound(f"there is no backfill {number}")
        return serializers.backfill(tx, row, **more)


def _receipt(receipt: EnqueueResult) -> responses.EnqueueResult:
    return responses.EnqueueResult(
        id=receipt.id,
        start=receipt.start,
        end=receipt.end,
        dates=len(receipt.details),
        outcomes=receipt.outcomes,
        details=[_detail(detail) for detail in receipt.details],
    )


def _detail(detail: DateResult) -> responses.DateResult:
    proof: dict[str, Any] = {"verdicts": dict(detail.verdicts)} if detail.verdicts else {}
    return responses.DateResult(date=detail.date, outcome=detail.outcome, reason=detail.reason, **proof)


def _requested(
    number: int, row: BackfillDateRow, held: DateRow | None, waiting: str | None
) -> responses.RequestedDate:
    """How the date ended under this backfill, and why; else where it stands, whoever holds it."""
    ended_here = bool(row.state) and held is not None and held.backfill_id == number
    return responses.RequestedDate(
        date=row.date,
        answer=EnqueueOutcome(row.answer),
        reason=held.reason if held is not None and ended_here and held.state == FAILED else row.reason,
        state=row.state or (held.state if held else None),
        outcome=(row.outcome if row.state else held.outcome if held else "") or None,
        waiting_on=None if row.state else waiting,
    )
