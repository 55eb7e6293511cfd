"""Steering everything at once: the pause, and the holds that the daemon places by itself."""

from __future__ import annotations

from backfilld.api import serializers
from backfilld.api.auth.request_guard import current_actor
from backfilld.api.endpoint import Router
from backfilld.api.ports import DaemonService
from backfilld.api.schemas import requests, responses

section = Router("steering", "What may not start, for everything at once")


@section.post("/v1/pause", responses.Paused, body=requests.Pause)
def pause(service: DaemonService, *, body: requests.Pause) -> responses.Paused:
    """Start nothing more, whatever happens, also after a restart; what runs ends by itself."""
    service.commands.pause_everything(by=current_actor(), reason=body.reason)
    return _paused(service)


@section.post("/v1/resume", responses.Paused, body=requests.EmptyBody)
def resume(service: DaemonService, *, body: requests.EmptyBody) -> responses.Paused:
    """Lift the pause of everything. Paused backfills stay paused."""
    service.commands.resume_everything(by=current_actor())
    return _paused(service)


@section.get("/v1/holds", responses.Holds)
def holds(service: DaemonService) -> responses.Holds:
    """What may not start, and why: everything, a processor, an output table, questions to the warehouse."""
    return responses.Holds(items=serializers.holds(service.commands.holds()))


@section.delete(
    "/v1/holds/{kind}/{key}",
    responses.Released,
    which=requests.ByHold,
    query=requests.Extra,
    problems=(404, 409),
)
def release(service: DaemonService, *, which: requests.ByHold, query: requests.Extra) -> responses.Released:
    """Lift the hold of a processor or an output table.

    Where the table's daily attempts are spent, `extra` more are allowed until the quota day ends, by
    default a tenth of the limit.
    """
    return _lift(service, which.kind, which.key, query)


@section.delete(
    "/v1/holds/{kind}", responses.Released, which=requests.ByKind, query=requests.Extra, problems=(404, 409)
)
def release_warehouse(
    service: DaemonService, *, which: requests.ByKind, query: requests.Extra
) -> responses.Released:
    """Lift the hold of questions to the warehouse, which has no key: it is asked again at once.

    Where the daily bytes are spent, `extra` more are allowed until the quota day ends, by default a tenth
    of the limit.
    """
    return _lift(service, which.kind, "", query)


def _lift(service: DaemonService, kind: str, key: str, query: requests.Extra) -> responses.Released:
    allowed = service.commands.release(kind, key, by=current_actor(), extra=query.extra)
    more = {} if allowed is None else {"allowed": allowed}
    return responses.Released(lifted=True, **more)


def _paused(service: DaemonService) -> responses.Paused:
    found = service.commands.holds()
    return responses.Paused(paused=any(hold.kind == "all" for hold in found), holds=serializers.holds(found))
