"""How everything stands: progress, the pipeline, and whether the daemon is well."""

from __future__ import annotations

from collections.abc import Mapping

from flask import Response, current_app, jsonify, request

from backfilld.api import activity, serializers
from backfilld.api.endpoint import MEDIA_TYPE, Router
from backfilld.api.metrics import OPENMETRICS
from backfilld.api.ports import DaemonService
from backfilld.api.schemas import requests, responses
from backfilld.api.schemas.activity import Activity, Job, Wait
from backfilld.daemon.reports.progress import progress, running
from backfilld.state.store import holds

section = Router("ops", "How everything stands")
PLAIN = "text/plain"
METRICS, DOCUMENT, NOTES = "backfilld-metrics", "backfilld-openapi", "backfilld-notes"
"""Under which the app keeps the three."""


@section.get("/v1/progress", responses.Progress)
def get_progress(service: DaemonService) -> responses.Progress:
    """Counts, rate, and when it may be done, with how that was computed."""
    with service.context.db.read() as tx:
        return serializers.progress(progress(tx, service.context), service.pipeline)


@section.get("/v1/activity", Activity)
def get_activity(service: DaemonService) -> Activity:
    """What runs now, with the last line of each job, and what waits for what."""
    with service.context.db.read() as tx:
        now, under_way, waits = service.context.now(), running(tx), activity.waits(tx, service.context)
    return Activity(
        running=[
            Job(**dict(job), last_line=activity.last_line(service, one.attempt))
            for job, one in zip(serializers.running(under_way, now), under_way, strict=True)
        ],
        waiting=[
            Wait(reason=wait.reason, dates=wait.n, first=wait.date, waiting_on=wait.sentence)
            for wait in waits
        ],
    )


@section.get("/v1/pipeline", responses.Pipeline)
def pipeline(service: DaemonService) -> responses.Pipeline:
    """Phases, processors, and the states of a date with the graph of them."""
    return responses.Pipeline(
        name=service.pipeline.name,
        phases=[
            responses.Phase(phase=phase.name, order=phase.order, processors=[p.name for p in phase.processor])
            for phase in service.pipeline.phase
        ],
        states=list(service.context.machine.states),
        diagram=service.context.machine.diagram(),
    )


@section.get("/livez", (PLAIN,), query=requests.Verbose, status=(200, 503), open=True)
def livez(service: DaemonService, *, query: requests.Verbose) -> Response:
    """Whether the engine's loop comes round. Nothing outside the daemon counts."""
    checks = {"engine": "" if service.alive else "a turn does not come back"}
    return _health(checks, {}, verbose=query.verbose is not None)


@section.get("/healthz", (PLAIN,), query=requests.Verbose, status=(200, 503), open=True)
def healthz(service: DaemonService, *, query: requests.Verbose) -> Response:
    """The same as /livez, under the name that older probes ask for."""
    return livez(service, query=query)


@section.get("/readyz", (PLAIN,), query=requests.Verbose, status=(200, 503), open=True)
def readyz(service: DaemonService, *, query: requests.Verbose) -> Response:
    """Whether it takes requests and works on them. What is held or not told is shown, and does not count."""
    with service.context.db.read() as tx:
        held = holds.all_holds(tx)
    notes = {f"hold {hold.kind} {hold.key}".strip(): hold.reason or f"by {hold.actor}" for hold in held}
    notes.update(current_app.extensions[NOTES]())
    return _health(service.health(), notes, verbose=query.verbose is not None)


@section.get("/metrics", (PLAIN, OPENMETRICS))
def metrics(service: DaemonService) -> Response:
    """Everything that Prometheus scrapes."""
    text, content_type = current_app.extensions[METRICS].exposition(request.headers.get("Accept", ""))
    return Response(text, content_type=content_type)


@section.get("/openapi.json", (MEDIA_TYPE,))
def openapi(service: DaemonService) -> Response:
    """This document."""
    return jsonify(current_app.extensions[DOCUMENT])


def _health(checks: Mapping[str, str], notes: Mapping[str, str], *, verbose: bool) -> Response:
    """`ok`, or the first thing that is wrong; or every check and note on a line of its own."""
    wrong = [f"{name}: {reason}" for name, reason in checks.items() if reason]
    text = wrong[0] if wrong else "ok"
    if verbose:
        marks = [f"[{'-' if reason else '+'}] {name} {reason or 'ok'}" for name, reason in checks.items()]
        text = "\n".join([*marks, *(f"[!] {name}: {reason}" for name, reason in notes.items()), text])
    return Response(f"{text}\n", 503 if wrong else 200, content_type=f"{PLAIN}; charset=utf-8")
