"""Backfills: asked for, listed, and steered."""

from __future__ import annotations

from typing import Any

from api import telling
from api.access.guard import caller
from api.endpoint import Reply, Section
from api.schemas import asked, told
from api.schemas.fields import next_cursor
from api.served import Served
from daemon.control import NotFound
from daemon.enqueue import Detail, Receipt, Request
from daemon.reports.waiting import waiting_on
from state.pipeline import FAILED
from state.records import Answer, DateRow
from state.store import backfills, dates
from state.store.backfills import Answered

section = Section("backfills", "Requests for sets of dates")


@section.post(
    "/v1/backfills",
    told.Receipt,
    body=asked.NewBackfill,
    header=asked.IdempotencyKey,
    status=(201, 200),
    problems=(409,),
    headers=("Location",),
)
def create(service: Served, *, body: asked.NewBackfill, header: asked.IdempotencyKey) -> Reply:
    """Ask for dates; every one of them gets an answer.

    A dry run (200) answers alike and stores nothing. The same Idempotency-Key with the same body gives
    the first answer again.
    """
    receipt = service.enqueuer.enqueue(
        Request(
            dates=body.chosen,
            scrapers=body.scrapers,
            force=body.force,
            priority=body.priority,
            max_failures=body.max_failures,
            note=body.note,
            by=caller(),
            key=None if body.dry_run else header.idempotency_key,
            digest=body.digest,
            dry_run=body.dry_run,
        )
    )
    if receipt.id is None:
        return Reply(body=_receipt(receipt))
    return Reply(body=_receipt(receipt), status=201, headers={"Location": f"/v1/backfills/{receipt.id}"})


@section.get("/v1/backfills", told.Backfills, query=asked.BackfillsPage)
def listed(service: Served, *, query: asked.BackfillsPage) -> told.Backfills:
    """Backfills, newest first."""
    with service.core.db.read() as tx:
        found = backfills.page(tx, below=query.cursor, limit=query.limit + 1)
        items = [telling.backfill(tx, row) for row in found[: query.limit]]
    return told.Backfills(items=items, next_cursor=next_cursor("id", found, query.limit))


@section.get("/v1/backfills/{id}", told.Backfill, which=asked.ById, problems=(404,))
def one(service: Served, *, which: asked.ById) -> told.Backfill:
    """One backfill."""
    return _told(service, which.id)


@section.get(
    "/v1/backfills/{id}/dates",
    told.RequestedDates,
    which=asked.ById,
    query=asked.BackfillDatesPage,
    problems=(404,),
)
def its_dates(service: Served, *, which: asked.ById, query: asked.BackfillDatesPage) -> told.RequestedDates:
    """The dates of a backfill, oldest first, with the answer each got and where it stands."""
    with service.core.db.read() as tx:
        if backfills.get(tx, which.id) is None:
            raise NotFound(f"there is no backfill {which.id}")
        found = backfills.dates_page(tx, which.id, after=query.cursor, limit=query.limit + 1)
        shown = found[: query.limit]
        held = dates.among(tx, [row.date for row in shown])
        waits = waiting_on(tx, service.core, list(held.values()))
    items = [_requested(which.id, row, held.get(row.date), waits.get(row.date)) for row in shown]
    return told.RequestedDates(items=items, next_cursor=next_cursor("date", found, query.limit))


@section.post(
    "/v1/backfills/{id}/pause", told.Backfill, which=asked.ById, body=asked.Nothing, problems=(404, 409)
)
def pause(service: Served, *, which: asked.ById, body: asked.Nothing) -> told.Backfill:
    """Start nothing more of a backfill; what runs ends by itself."""
    service.control.pause(which.id, by=caller())
    return _told(service, which.id)


@section.post(
    "/v1/backfills/{id}/resume", told.Backfill, which=asked.ById, body=asked.Nothing, problems=(404, 409)
)
def resume(service: Served, *, which: asked.ById, body: asked.Nothing) -> told.Backfill:
    """Go on with a paused or stopped backfill."""
    service.control.resume(which.id, by=caller())
    return _told(service, which.id)


@section.post(
    "/v1/backfills/{id}/cancel", told.Backfill, which=asked.ById, body=asked.Nothing, problems=(404, 409)
)
def cancel(service: Served, *, which: asked.ById, body: asked.Nothing) -> told.Backfill:
    """Start nothing more of a backfill and end what runs."""
    service.control.cancel(which.id, by=caller())
    return _told(service, which.id)


@section.post(
    "/v1/backfills/{id}/retry", told.Backfill, which=asked.ById, body=asked.Nothing, problems=(404, 409)
)
def retry(service: Served, *, which: asked.ById, body: asked.Nothing) -> told.Backfill:
    """Put the failed dates of a backfill back to `pending`."""
    retried = service.control.retry(which.id, by=caller())
    return _told(service, which.id, retried=retried)


def _told(service: Served, number: int, **more: int) -> told.Backfill:
    with service.core.db.read() as tx:
        row = backfills.get(tx, number)
        if row is None:
            raise NotFound(f"there is no backfill {number}")
        return telling.backfill(tx, row, **more)


def _receipt(receipt: Receipt) -> told.Receipt:
    return told.Receipt(
        id=receipt.id,
        start=receipt.start,
        end=receipt.end,
        dates=len(receipt.details),
        outcomes=receipt.outcomes,
        details=[_detail(detail) for detail in receipt.details],
    )


def _detail(detail: Detail) -> told.Detail:
    proof: dict[str, Any] = {"verdicts": dict(detail.verdicts)} if detail.verdicts else {}
    return told.Detail(date=detail.date, outcome=detail.outcome, reason=detail.reason, **proof)


def _requested(number: int, row: Answered, held: DateRow | None, waiting: str | None) -> told.RequestedDate:
    """How the date ended under this backfill, and why; else where it stands, whoever holds it."""
    ended_here = bool(row.state) and held is not None and held.backfill_id == number
    return told.RequestedDate(
        date=row.date,
        answer=Answer(row.answer),
        reason=held.reason if held is not None and ended_here and held.state == FAILED else row.reason,
        state=row.state or (held.state if held else None),
        outcome=(row.outcome if row.state else held.outcome if held else "") or None,
        waiting_on=None if row.state else waiting,
    )
