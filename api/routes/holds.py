"""Holds: the global pause, and the holds that the daemon or an operator places."""

from __future__ import annotations

from backfilld.api import serializers
from backfilld.api.auth.request_guard import current_actor
from backfilld.api.daemon_interface import DaemonService
from backfilld.api.endpoint_definition import Router
from backfilld.api.problem_responses import BadInput
from backfilld.api.schemas import request_parameters, responses, small_request_bodies
from backfilld.daemon.engine.operator_commands import Conflict, NotFound
from backfilld.daemon.reports.window_and_pool_holds import POOL, WINDOW, derived_holds
from backfilld.state.spelling_suggestions import did_you_mean

section = Router("holds", "What may not start: the global pause, processors, output tables, the warehouse")


@section.post("/v1/pause", responses.Paused, body=small_request_bodies.Pause)
def pause_all(service: DaemonService, *, body: small_request_bodies.Pause) -> responses.Paused:
    """Start no more jobs of any backfill, also after a restart; running jobs finish."""
    service.commands.pause_everything(by=current_actor(), reason=body.reason)
    return _paused(service)


@section.post("/v1/resume", responses.Paused, body=small_request_bodies.EmptyBody)
def resume_all(service: DaemonService, *, body: small_request_bodies.EmptyBody) -> responses.Paused:
    """End the global pause. Paused backfills stay paused."""
    service.commands.resume_everything(by=current_actor())
    return _paused(service)


@section.get("/v1/holds", responses.Holds)
def list_holds(service: DaemonService) -> responses.Holds:
    """All holds with their reasons: global pause, processors, output tables, warehouse queries.

    Closed windows and full pools follow, `derived`: they cannot be released.
    """
    with service.context.db.read() as tx:
        derived = derived_holds(tx, service.context)
    return responses.Holds(items=serializers.holds([*service.commands.holds(), *derived]))


@section.post("/v1/holds", responses.Holds, body=small_request_bodies.PlaceHold, problems=(409,))
def place_hold(service: DaemonService, *, body: small_request_bodies.PlaceHold) -> responses.Holds:
    """Hold a processor, an output table or the warehouse until an operator releases it.

    A held processor or table starts no job; while the warehouse is held, it is not queried. Running jobs
    finish.
    """
    pipeline = service.pipeline
    names = {
        "processor": list(pipeline.processors),
        "table": sorted({processor.table for processor in pipeline.processors.values()}),
        "warehouse": [""],
    }[body.kind]
    if body.key not in names:
        remedy = did_you_mean(body.key, names) if body.kind != "warehouse" else "leave it out"
        raise BadInput.for_field("key", f"there is no {body.kind} '{body.key}'; {remedy}")
    service.commands.hold(body.kind, body.key, by=current_actor(), reason=body.reason)
    return list_holds(service)


@section.delete(
    "/v1/holds/{kind}/{key}",
    responses.Released,
    path=request_parameters.ByHold,
    query=request_parameters.Extra,
    problems=(404, 409),
)
def release_hold(
    service: DaemonService, *, path: request_parameters.ByHold, query: request_parameters.Extra
) -> responses.Released:
    """Release the hold of a processor or an output table. A window or a pool cannot be released (409).

    If the daily attempts of the table are used up, `extra` more are allowed until the quota day ends, by
    default a tenth of the limit.
    """
    return _release(service, path.kind, path.key, query)


@section.delete(
    "/v1/holds/{kind}",
    responses.Released,
    path=request_parameters.ByKind,
    query=request_parameters.Extra,
    problems=(404, 409),
)
def release_warehouse_hold(
    service: DaemonService, *, path: request_parameters.ByKind, query: request_parameters.Extra
) -> responses.Released:
    """Release the hold of warehouse queries, which has no key: queries resume at once.

    If the daily bytes are used up, `extra` more are allowed until the quota day ends, by default a tenth
    of the limit.
    """
    return _release(service, path.kind, "", query)


def _release(
    service: DaemonService, kind: str, key: str, query: request_parameters.Extra
) -> responses.Released:
    if kind in (WINDOW, POOL):
        _refuse_derived(service, kind, key)
    allowed = service.commands.release(kind, key, by=current_actor(), extra=query.extra)
    more = {} if allowed is None else {"allowed": allowed}
    return responses.Released(released=True, **more)


def _refuse_derived(service: DaemonService, kind: str, key: str) -> None:
    """Say why a window or a pool cannot be released.

    Raises:
        NotFound: the pipeline file has no such window or pool.
        Conflict: it has.
    """
    names = [one.name for one in (service.pipeline.window if kind == WINDOW else service.pipeline.pool)]
    if key not in names:
        raise NotFound(f"there is no {kind} '{key}'; {did_you_mean(key, names)}")
    how = "its hours" if kind == WINDOW else "its size"
    raise Conflict(
        f"the {kind} {key} cannot be released: it follows from [[{kind}]] of the pipeline file;"
        f" change {how} there, and reload the daemon"
    )


def _paused(service: DaemonService) -> responses.Paused:
    holds = service.commands.holds()
    return responses.Paused(paused=any(hold.kind == "all" for hold in holds), holds=serializers.holds(holds))
