"""The Flask application of one daemon: its sections, its guard, its problems."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from flask import Flask

from backfilld.api import problems
from backfilld.api.auth import request_guard
from backfilld.api.metrics import Metrics
from backfilld.api.openapi import document
from backfilld.api.page import views
from backfilld.api.ports import DaemonService
from backfilld.api.routes import SECTIONS, status


def create_app(
    service: DaemonService, metrics: Metrics | None = None, *, notes: Callable[[], Mapping[str, str]] = dict
) -> Flask:
    """The API of a daemon. `metrics` is the one that hears of its queries; without it, none are counted.

    `notes` says what else is amiss, for /readyz?verbose to show.
    """
    app = Flask("backfilld", static_folder=None)
    # One path is one thing: nothing is redirected to what was perhaps meant.
    app.url_map.merge_slashes = False
    app.url_map.strict_slashes = False
    scopes = [*(part.scopes for part in SECTIONS), views.SCOPES]
    needed = {name: s for own in scopes for name, s in own.items()}
    request_guard.init_app(app, service.settings, needed, standby=lambda: service.standby)
    problems.install(app)
    for section in SECTIONS:
        app.register_blueprint(section.blueprint(service))
    app.register_blueprint(views.blueprint(service))
    counted = metrics or Metrics()
    counted.watch(service)
    app.extensions[status.METRICS] = counted
    app.extensions[status.NOTES] = notes
    app.extensions[status.DOCUMENT] = document(SECTIONS)
    return app
