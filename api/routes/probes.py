"""Health, metrics and the API's document: what probes, Prometheus and generators of clients fetch."""

from __future__ import annotations

from collections.abc import Mapping

from flask import Response, current_app, jsonify, request

from backfilld.api.auth.request_guard import may_read
from backfilld.api.daemon_interface import DaemonService
from backfilld.api.endpoint_definition import MEDIA_TYPE, Router
from backfilld.api.metrics import OPENMETRICS
from backfilld.api.schemas import request_parameters
from backfilld.state.records import HoldRow
from backfilld.state.store import holds
from backfilld.state.store.database_errors import DatabaseUnavailable

section = Router("probes", "Health, metrics and this document")
PLAIN = "text/plain"
METRICS, DOCUMENT, HEALTH_NOTES = "backfilld-metrics", "backfilld-openapi", "backfilld-health-notes"
"""Keys of `app.extensions`."""
HEALTH_CHECKS: Mapping[str, str] = {
    "started": "The daemon has started, and is not stopping.",
    "engine": "The loop of the engine runs without an error.",
    "warehouse": "The loop of the queries runs without an error. An outage of the warehouse is a hold.",
    "timers": "The periodic work runs, such as backups.",
    "database": "The files of the state database are in place. At `/readyz` also: the database answers.",
    "executor NAME": "The thread that follows the jobs of the executor NAME works.",
    "standby": "Is there only while another daemon leads, and fails.",
}
"""The health checks of a daemon, with what passes."""
HOW_TO_SEE = "a token with the scope 'read' shows more"


@section.get("/livez", (PLAIN,), query=request_parameters.Verbose, status=(200, 503), public=True)
def livez(service: DaemonService, *, query: request_parameters.Verbose) -> Response:
    """Whether the engine loop is alive. Nothing outside the daemon counts."""
    checks = {"engine": "" if service.alive else "the engine loop is stuck"}
    return _health(checks, {}, verbose=query.verbose)


@section.get("/healthz", (PLAIN,), query=request_parameters.Verbose, status=(200, 503), public=True)
def healthz(service: DaemonService, *, query: request_parameters.Verbose) -> Response:
    """The same as /livez, under the older name."""
    return livez(service, query=query)


@section.get("/readyz", (PLAIN,), query=request_parameters.Verbose, status=(200, 503), public=True)
def readyz(service: DaemonService, *, query: request_parameters.Verbose) -> Response:
    """Whether the daemon accepts requests and works on them.

    Holds, and executors that wait for their cluster, are listed but do not make it unready. Without a token,
    where the daemon has tokens, it names failed checks without their reasons.
    """
    checks, notes = dict(service.health()), {}
    # Where the engine waits for the database, a question to it may take as long as a connection.
    if not checks["engine"]:
        try:
            with service.context.db.read() as tx:
                notes = {_title(hold): hold.text for hold in holds.all_holds(tx)}
        except DatabaseUnavailable as error:
            checks["database"] = str(error)
    for name, executor in service.executors.items():
        if reason := executor.unavailable_reason:
            notes[f"executor {name}"] = f"waits for {reason}"
    notes.update(current_app.extensions[HEALTH_NOTES]())
    if not may_read():
        checks, notes = _without_details(checks, notes)
    return _health(checks, notes, verbose=query.verbose)


@section.get("/metrics", (PLAIN, OPENMETRICS))
def get_metrics(service: DaemonService) -> Response:
    """All metrics in the Prometheus or OpenMetrics text format."""
    text, content_type = current_app.extensions[METRICS].exposition(request.headers.get("Accept", ""))
    return Response(text, content_type=content_type)


@section.get("/openapi.json", (MEDIA_TYPE,))
def get_openapi(service: DaemonService) -> Response:
    """This document."""
    return jsonify(current_app.extensions[DOCUMENT]())


def _title(hold: HoldRow) -> str:
    """`hold processor odds`, `hold warehouse`, `hold all`: the key of a global pause repeats its kind."""
    key = hold.key if hold.kind != holds.EVERYTHING else ""
    return f"hold {hold.kind} {key}".strip()


def _without_details(
    checks: Mapping[str, str], notes: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, str]]:
    """Which checks fail and how many notes there are: reasons name hosts, paths and what operators wrote."""
    hidden = {name: reason and f"failed; {HOW_TO_SEE}" for name, reason in checks.items()}
    return hidden, {"notes": f"{len(notes)}; {HOW_TO_SEE}"} if notes else {}


def _health(checks: Mapping[str, str], notes: Mapping[str, str], *, verbose: bool) -> Response:
    """`ok` or the first failed check; verbose: one line for every check and note."""
    wrong = [f"{name}: {reason}" for name, reason in checks.items() if reason]
    text = wrong[0] if wrong else "ok"
    if verbose:
        marks = [
            f"[{'-' if reason else '+'}] {name} {reason or _ok(name, notes)}"
            for name, reason in checks.items()
        ]
        text = "\n".join([*marks, *(f"[!] {name}: {reason}" for name, reason in notes.items()), text])
    return Response(f"{text}\n", 503 if wrong else 200, content_type=f"{PLAIN}; charset=utf-8")


def _ok(check: str, notes: Mapping[str, str]) -> str:
    """What is said of a check that passes: a warehouse that is held is not queried, which is no fault."""
    return "ok, but not queried: held" if check == "warehouse" and "hold warehouse" in notes else "ok"
