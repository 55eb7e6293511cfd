"""Reports over a range of dates: the warehouse is asked while the client waits."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from werkzeug.exceptions import ServiceUnavailable

from api.endpoint import Section
from api.schemas import asked
from api.schemas.plans import Comparison, Plan
from api.schemas.reports import Quality, Validation
from api.served import Served
from daemon.reports import plan as plans
from daemon.reports import quality as qualities
from daemon.reports import remembered
from daemon.reports import validation as validations

section = Section("reports", "What exists for a range of dates, and what would run")
MOST_AT_ONCE = 4
"""Reports under way: half of the server's threads, so that a slow warehouse leaves some for a pause."""
RETRY_SECONDS = 10

_under_way = threading.BoundedSemaphore(MOST_AT_ONCE)
_Asked = ParamSpec("_Asked")
_Made = TypeVar("_Made")


def _a_few_at_once(view: Callable[_Asked, _Made]) -> Callable[_Asked, _Made]:
    """A view that refuses to be one too many."""

    @functools.wraps(view)
    def make(*given: _Asked.args, **named: _Asked.kwargs) -> _Made:
        if not _under_way.acquire(blocking=False):
            raise ServiceUnavailable(
                f"{MOST_AT_ONCE} reports are being made, as many as may be at once; ask again later",
                retry_after=RETRY_SECONDS,
            )
        try:
            return view(*given, **named)
        finally:
            _under_way.release()

    return make


@section.get("/v1/validation", Validation, query=asked.Range, problems=(503,))
@_a_few_at_once
def validation(service: Served, *, query: asked.Range) -> Validation:
    """What exists from `start` to `end`, both included, what does not and why, and what to do next.

    The warehouse is asked now; the verdicts are those that the engine's gates would see.
    """
    return Validation.model_validate(_validated(service, query))


@section.get("/v1/plan", Plan, query=asked.PlanRange, problems=(503,))
@_a_few_at_once
def plan(service: Served, *, query: asked.PlanRange) -> Plan:
    """What would run for the range, in order, with the exact commands, the expected time and the cost.

    Times come from the attempts so far. Nothing is enqueued.
    """
    found = plans.plan(
        _validated(service, query),
        service.pipeline,
        scrapers=query.scrapers,
        typical_seconds=remembered.typical_seconds(service.core.db, service.pipeline).get,
        price=service.warehouse.price,
        stale=remembered.stale(service.core.db, query.start, query.end or query.start),
    )
    return Plan.model_validate(found)


@section.get("/v1/plan/comparison", Comparison, query=asked.Range, problems=(503,))
@_a_few_at_once
def comparison(service: Served, *, query: asked.Range) -> Comparison:
    """The plans with all sources, the critical ones and none: steps, time, cost and coverage of each."""
    found = plans.compare(
        _validated(service, query),
        service.pipeline,
        typical_seconds=remembered.typical_seconds(service.core.db, service.pipeline).get,
        price=service.warehouse.price,
    )
    return Comparison.model_validate(found)


@section.get("/v1/quality", Quality, query=asked.Range, problems=(503,))
@_a_few_at_once
def quality(service: Served, *, query: asked.Range) -> Quality:
    """Rows that are there and below their processor's standard, per processor and date."""
    start, end = query.start, query.end or query.start
    found = qualities.quality(service.pipeline, service.warehouse, start, end, now=service.core.now())
    return Quality.model_validate(found)


def _validated(service: Served, query: asked.Range) -> validations.Validation:
    start, end = query.start, query.end or query.start
    known = remembered.known(service.core.db, service.pipeline, start, end)
    return validations.validation(
        service.pipeline, service.warehouse, start, end, now=service.core.now(), known=known
    )
