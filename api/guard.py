"""Who may come in: hosts, origins, sizes, and who a change is recorded under."""

from __future__ import annotations

import logging
import re
import uuid

from flask import Flask, Response, g, request
from werkzeug.exceptions import Forbidden

from daemon.config import Settings, SettingsError

log = logging.getLogger(__name__)

LARGEST_BODY = 1 << 20
"""Bytes of a request's body."""
ANONYMOUS = "anonymous"
"""Who a change is recorded under when nobody had to say who they are."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,100}")
_HOST = re.compile(r"(\[[0-9a-f:]+\]|[^\[\]:@/]+)(:[0-9]{1,5})?", re.IGNORECASE)
_READING = ("GET", "HEAD")


def install(app: Flask, settings: Settings) -> None:
    """Check every request before any view sees it.

    Raises:
        SettingsError: it would be open to others without knowing who they are.
    """
    if not settings.loopback:
        raise SettingsError(
            f"without tokens it listens on this machine only: {settings.host} is open to others;"
            " give --listen 127.0.0.1:PORT"
        )
    own = {"localhost", "127.0.0.1", "[::1]", _bracketed(settings.host)}
    app.config["MAX_CONTENT_LENGTH"] = LARGEST_BODY

    @app.before_request
    def check() -> None:
        g.request_id = _request_id()
        _check_host(own)
        _check_origin()
        g.actor = _authenticate()

    @app.after_request
    def finish(response: Response) -> Response:
        response.headers["X-Request-Id"] = g.get("request_id", "")
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers.setdefault("Cache-Control", "no-store")
        if request.method not in _READING:
            words = (request.method, request.path, actor(), response.status_code, g.get("request_id", ""))
            log.info("%s %r by %s: %s (request %s)", *words)
        return response


def actor() -> str:
    """Who asks, as history will name them."""
    return str(g.get("actor", ANONYMOUS))


def _authenticate() -> str:
    """The name of whoever asks. The one place for bearer tokens; without any, everyone is anonymous."""
    return ANONYMOUS


def _request_id() -> str:
    given = request.headers.get("X-Request-Id", "")
    return given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex


def _check_host(own: set[str]) -> None:
    """A name that only pretends to be this machine (DNS rebinding) stays outside."""
    host = request.headers.get("Host", "")
    match = _HOST.fullmatch(host)
    if match is None or match[1].lower() not in own:
        raise Forbidden(f"the Host {host!r} is not this daemon; use one of {', '.join(sorted(own))}")


def _check_origin() -> None:
    """No page of another site may change anything through somebody's browser."""
    origin = request.headers.get("Origin")
    if origin is None or request.method in _READING:
        return
    if origin.partition("://")[2].lower() != request.headers.get("Host", "").lower():
        raise Forbidden(f"the Origin {origin!r} is not this daemon; pages of other sites may not change it")


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host.lower()
