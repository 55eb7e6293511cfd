"""Reports over a range of dates; each request queries the warehouse."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from werkzeug.exceptions import ServiceUnavailable

from backfilld.api.daemon_interface import DaemonService
from backfilld.api.endpoint_definition import Router
from backfilld.api.requested_processors import resolve_selection
from backfilld.api.schemas import request_parameters
from backfilld.api.schemas.data_quality_reports import Blindness, Quality, Validation
from backfilld.api.schemas.plans import Comparison, Plan
from backfilld.daemon.reports import blindness_to_simulated_damage, data_completeness, state_lookup
from backfilld.daemon.reports import quality as qualities
from backfilld.daemon.reports.plan import plan as plans
from backfilld.daemon.reports.plan.selection_and_force_options import RequestOptions

section = Router("reports", "What exists for a range of dates, and what would run")
MAX_CONCURRENT_REPORTS = 4
"""Fewer than the threads of their lane: a slow warehouse leaves the others for logs."""
RETRY_SECONDS = 10

_report_slots = threading.BoundedSemaphore(MAX_CONCURRENT_REPORTS)
_P = ParamSpec("_P")
_R = TypeVar("_R")


def _limited(view: Callable[_P, _R]) -> Callable[_P, _R]:
    """Decorate a view to answer 503 while `MAX_CONCURRENT_REPORTS` reports are being made."""

    @functools.wraps(view)
    def make(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        if not _report_slots.acquire(blocking=False):
            raise ServiceUnavailable(
                f"{MAX_CONCURRENT_REPORTS} reports are being made, which is the limit; try again later",
                retry_after=RETRY_SECONDS,
            )
        try:
            return view(*args, **kwargs)
        finally:
            _report_slots.release()

    return make


@section.get("/v1/validation", Validation, query=request_parameters.Range, problems=(503,))
@_limited
def get_validation(service: DaemonService, *, query: request_parameters.Range) -> Validation:
    """The data that exists from `start` to `end`, both included, what is missing and why, and the next step.

    The warehouse is queried now; the verdicts are those of the engine's gates.
    """
    return Validation.model_validate(_validate(service, query))


@section.get("/v1/plan", Plan, query=request_parameters.PlanRange, problems=(503,))
@_limited
def get_plan(service: DaemonService, *, query: request_parameters.PlanRange) -> Plan:
    """The jobs that would run for the range, in order, with exact commands, expected time and cost.

    `becomes_stale` counts what is computed from them and not selected, and what they compute from that.
    Durations come from past attempts.
    Nothing is enqueued.
    """
    selection = resolve_selection(service.pipeline, query)
    options = RequestOptions(sources=query.sources, selection=selection, force=query.force)
    plan = plans.plan(
        _validate(service, query),
        service.pipeline,
        options=options,
        typical_seconds=state_lookup.typical_seconds(service.context.db, service.pipeline).get,
        price=service.warehouse.estimate_bytes,
        stale=state_lookup.stale_dates(service.context.db, query.start, query.end or query.start),
        done=state_lookup.done_dates(service.context.db, query.start, query.end or query.start),
    )
    return Plan.model_validate(plan)


@section.get("/v1/plan/comparison", Comparison, query=request_parameters.ComparisonRange, problems=(503,))
@_limited
def get_plan_comparison(service: DaemonService, *, query: request_parameters.ComparisonRange) -> Comparison:
    """The plans with all, only critical, and no sources: steps, time, cost and coverage of each.

    `starting_points` sets the range in order, a test window alone, and the window first side by side.
    """
    comparison = plans.compare(
        _validate(service, query),
        service.pipeline,
        typical_seconds=state_lookup.typical_seconds(service.context.db, service.pipeline).get,
        price=service.warehouse.estimate_bytes,
        window=query.window,
        done=state_lookup.done_dates(service.context.db, query.start, query.end or query.start),
    )
    return Comparison.model_validate(comparison)


@section.get("/v1/quality", Quality, query=request_parameters.Range, problems=(503,))
@_limited
def get_quality(service: DaemonService, *, query: request_parameters.Range) -> Quality:
    """Rows below the quality rule of their processor, by processor and date."""
    start, end = query.start, query.end or query.start
    known = state_lookup.known_checks(service.context.db, service.pipeline, start, end)
    quality = qualities.quality(
        service.pipeline, service.warehouse, start, end, now=service.context.now(), known=known
    )
    return Quality.model_validate(quality)


@section.get("/v1/expectations/blindness", Blindness, query=request_parameters.Range, problems=(503,))
@_limited
def get_blindness(service: DaemonService, *, query: request_parameters.Range) -> Blindness:
    """How much damage of the complete dates of a range today's rules would not see.

    Their figures are damaged in memory and judged. The shares become the metric `backfilld_blind_ratio`.
    """
    start, end = query.start, query.end or query.start
    found = blindness_to_simulated_damage.blindness(
        service.pipeline, service.warehouse, start, end, now=service.context.now()
    )
    service.context.blind_ratios.update(blindness_to_simulated_damage.blind_ratios(found))
    return Blindness.model_validate(found)


def _validate(service: DaemonService, query: request_parameters.Range) -> data_completeness.Validation:
    start, end = query.start, query.end or query.start
    return data_completeness.validation(
        service.pipeline,
        service.warehouse,
        start,
        end,
        now=service.context.now(),
        known=state_lookup.known_checks(service.context.db, service.pipeline, start, end),
        failed=state_lookup.failed_dates(service.context.db, start, end),
    )
