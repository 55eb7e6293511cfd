"""Steering everything at once: the pause, and the holds that the daemon places by itself."""

from __future__ import annotations

from api import telling
from api.access.guard import caller
from api.endpoint import Section
from api.schemas import asked, told
from api.served import Served

section = Section("steering", "What may not start, for everything at once")


@section.post("/v1/pause", told.Paused, body=asked.Pause)
def pause(service: Served, *, body: asked.Pause) -> told.Paused:
    """Start nothing more, whatever happens, also after a restart; what runs ends by itself."""
    service.control.pause_everything(by=caller(), reason=body.reason)
    return _paused(service)


@section.post("/v1/resume", told.Paused, body=asked.Nothing)
def resume(service: Served, *, body: asked.Nothing) -> told.Paused:
    """Lift the pause of everything. Paused backfills stay paused."""
    service.control.resume_everything(by=caller())
    return _paused(service)


@section.get("/v1/holds", told.Holds)
def holds(service: Served) -> told.Holds:
    """What may not start, and why: everything, a processor, an output table, questions to the warehouse."""
    return told.Holds(items=telling.holds(service.control.holds()))


@section.delete(
    "/v1/holds/{kind}/{key}", told.Lifted, which=asked.ByHold, query=asked.Extra, problems=(404, 409)
)
def lift(service: Served, *, which: asked.ByHold, query: asked.Extra) -> told.Lifted:
    """Lift the hold of a processor or an output table.

    Where the table's daily attempts are spent, `extra` more are allowed until the quota day ends, by
    default a tenth of the limit.
    """
    return _lift(service, which.kind, which.key, query)


@section.delete("/v1/holds/{kind}", told.Lifted, which=asked.ByKind, query=asked.Extra, problems=(404, 409))
def lift_warehouse(service: Served, *, which: asked.ByKind, query: asked.Extra) -> told.Lifted:
    """Lift the hold of questions to the warehouse, which has no key: it is asked again at once.

    Where the daily bytes are spent, `extra` more are allowed until the quota day ends, by default a tenth
    of the limit.
    """
    return _lift(service, which.kind, "", query)


def _lift(service: Served, kind: str, key: str, query: asked.Extra) -> told.Lifted:
    allowed = service.control.lift(kind, key, by=caller(), extra=query.extra)
    more = {} if allowed is None else {"allowed": allowed}
    return told.Lifted(lifted=True, **more)


def _paused(service: Served) -> told.Paused:
    found = service.control.holds()
    return told.Paused(paused=any(hold.kind == "all" for hold in found), holds=telling.holds(found))
