"""The Flask application of one daemon: routes, page, request guard, problems, metrics."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

from flask import Flask

from backfilld.api import problem_responses
from backfilld.api.auth import request_guard
from backfilld.api.daemon_interface import DaemonService
from backfilld.api.http import caching
from backfilld.api.metrics import Metrics
from backfilld.api.openapi import document
from backfilld.api.page import views
from backfilld.api.routes import SECTIONS, probes


def create_app(
    service: DaemonService,
    metrics: Metrics | None = None,
    *,
    health_notes: Callable[[], Mapping[str, str]] = dict,
) -> Flask:
    """The API of a daemon.

    `metrics` are those that the daemon counts its queries with; without them no query is counted.
    `health_notes` returns warnings by name for /readyz?verbose; they do not make the daemon unready.
    """
    app = Flask("backfilld", static_folder=None)
    # A URL has one spelling: no redirect to a similar one.
    app.url_map.merge_slashes = False
    app.url_map.strict_slashes = False
    scopes = [*(section.scopes for section in SECTIONS), views.SCOPES]
    scope_by_endpoint = {name: scope for group in scopes for name, scope in group.items()}
    request_guard.init_app(app, service.settings, scope_by_endpoint, standby=lambda: service.standby)
    caching.init_app(app)
    problem_responses.init_app(app)
    for section in SECTIONS:
        app.register_blueprint(section.blueprint(service))
    app.register_blueprint(views.blueprint(service))
    metrics = metrics or Metrics()
    metrics.watch(service)
    app.extensions[probes.METRICS] = metrics
    app.extensions[probes.HEALTH_NOTES] = health_notes
    app.extensions[probes.DOCUMENT] = functools.partial(document, SECTIONS)
    return app
