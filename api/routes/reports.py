"""Reports over a range of dates: the warehouse is asked while the client waits."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from werkzeug.exceptions import ServiceUnavailable

from backfilld.api.endpoint import Router
from backfilld.api.ports import DaemonService
from backfilld.api.schemas import requests
from backfilld.api.schemas.plans import Comparison, Plan
from backfilld.api.schemas.reports import Quality, Validation
from backfilld.daemon.reports import quality as qualities
from backfilld.daemon.reports import state_lookup
from backfilld.daemon.reports import validation as validations
from backfilld.daemon.reports.plan import plan as plans

section = Router("reports", "What exists for a range of dates, and what would run")
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


@section.get("/v1/validation", Validation, query=requests.Range, problems=(503,))
@_a_few_at_once
def validation(service: DaemonService, *, query: requests.Range) -> Validation:
    """What exists from `start` to `end`, both included, what does not and why, and what to do next.

    The warehouse is asked now; the verdicts are those that the engine's gates would see.
    """
    return Validation.model_validate(_validated(service, query))


@section.get("/v1/plan", Plan, query=requests.PlanRange, problems=(503,))
@_a_few_at_once
def plan(service: DaemonService, *, query: requests.PlanRange) -> Plan:
    """What would run for the range, in order, with the exact commands, the expected time and the cost.

    Times come from the attempts so far. Nothing is enqueued.
    """
    found = plans.plan(
        _validated(service, query),
        service.pipeline,
        sources=query.sources,
        typical_seconds=state_lookup.typical_seconds(service.context.db, service.pipeline).get,
        price=service.warehouse.estimate_bytes,
        stale=state_lookup.stale_dates(service.context.db, query.start, query.end or query.start),
    )
    return Plan.model_validate(found)


@section.get("/v1/plan/comparison", Comparison, query=requests.Range, problems=(503,))
@_a_few_at_once
def comparison(service: DaemonService, *, query: requests.Range) -> Comparison:
    """The plans with all sources, the critical ones and none: steps, time, cost and coverage of each."""
    found = plans.compare(
        _validated(service, query),
        service.pipeline,
        typical_seconds=state_lookup.typical_seconds(service.context.db, service.pipeline).get,
        price=service.warehouse.estimate_bytes,
    )
    return Comparison.model_validate(found)


@section.get("/v1/quality", Quality, query=requests.Range, problems=(503,))
@_a_few_at_once
def quality(service: DaemonService, *, query: requests.Range) -> Quality:
    """Rows that are there and below their processor's standard, per processor and date."""
    start, end = query.start, query.end or query.start
    found = qualities.quality(service.pipeline, service.warehouse, start, end, now=service.context.now())
    return Quality.model_validate(found)


def _validated(service: DaemonService, query: requests.Range) -> validations.Validation:
    start, end = query.start, query.end or query.start
    known = state_lookup.known_checks(service.context.db, service.pipeline, start, end)
    return validations.validation(
        service.pipeline, service.warehouse, start, end, now=service.context.now(), known=known
    )
