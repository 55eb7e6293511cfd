"""The Flask application of one daemon: its sections, its guard, its problems."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from flask import Flask

from api import problems
from api.access import guard
from api.metrics import Metrics
from api.openapi import document
from api.page import views
from api.routes import SECTIONS, ops
from api.served import Served


def create_app(
    service: Served, metrics: Metrics | None = None, *, notes: Callable[[], Mapping[str, str]] = dict
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
    guard.install(app, service.settings, needed, standby=lambda: service.standby)
    problems.install(app)
    for section in SECTIONS:
        app.register_blueprint(section.blueprint(service))
    app.register_blueprint(views.blueprint(service))
    counted = metrics or Metrics()
    counted.watch(service)
    app.extensions[ops.METRICS] = counted
    app.extensions[ops.NOTES] = notes
    app.extensions[ops.DOCUMENT] = document(SECTIONS)
    return app
