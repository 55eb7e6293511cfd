"""Access control of requests: hosts, origins, sizes, rates, tokens and scopes; and the actor of a change."""

from __future__ import annotations

import contextlib
import logging
import math
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from flask import Flask, Response, current_app, g, request
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Forbidden, ServiceUnavailable, TooManyRequests, Unauthorized
from werkzeug.http import parse_cookie

from backfilld.api.auth.request_rate_limit import TokenBuckets
from backfilld.api.auth.sessions import LIFETIME_SECONDS, Sessions
from backfilld.api.auth.token_redaction import redacted
from backfilld.api.auth.tokens import ANONYMOUS, Scope, Token, Tokens
from backfilld.api.http.request_lanes import UNLIMITED, lane_of
from backfilld.daemon.engine.operator_commands import Conflict
from backfilld.daemon.leadership import UNKNOWN
from backfilld.daemon.settings import Settings, SettingsError
from backfilld.state.records import Actor
from backfilld.state.store.database_errors import NotLeader

log = logging.getLogger(__name__)

LARGEST_BODY = 1 << 20
"""Bytes of a request's body."""
COOKIE = "backfilld_session"

_EXTENSION = "backfilld-guard"
_REALM = "backfilld"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,100}")
_HOST = re.compile(r"(\[[0-9a-f:]+\]|[^\[\]:@/]+)(:[0-9]{1,5})?", re.IGNORECASE)
_READ_METHODS = ("GET", "HEAD")


@dataclass(frozen=True, slots=True)
class Principal:
    """The client of a request: the name and scope of its token."""

    name: str
    scope: Scope


EVERYONE = Principal(ANONYMOUS, Scope.OPERATE)
"""Every client of a daemon without tokens."""


def init_app(
    app: Flask, settings: Settings, scopes: Mapping[str, Scope | None], *, standby: Callable[[], str]
) -> None:
    """Check every request before its view runs. An endpoint that is not in `scopes` needs a token.

    `standby` returns the daemon that leads, if it is another one; only the leader accepts changes.

    Raises:
        SettingsError: the token file is unusable, or there are no tokens and the address is not loopback.
    """
    guard = RequestGuard(settings, scopes, standby)
    app.extensions[_EXTENSION] = guard
    app.config["MAX_CONTENT_LENGTH"] = LARGEST_BODY
    app.before_request(guard.check)
    app.after_request(_finish)


def current() -> RequestGuard:
    """The guard of the current app."""
    return guard_of(current_app)


def guard_of(app: Flask) -> RequestGuard:
    """The guard of an app."""
    guard: RequestGuard = app.extensions[_EXTENSION]
    return guard


def current_actor() -> Actor:
    """The actor of the current request, for transitions and the audit log."""
    return Actor(name=principal().name, address=request.remote_addr or "", request_id=g.request_id)


def principal() -> Principal:
    """The client of the current request."""
    identified: Principal | None = g.get("principal")
    return identified or Principal(ANONYMOUS, Scope.READ)


def may_read() -> bool:
    """Whether the client of the current request may read; open routes hide details from the others."""
    return g.get("principal") is not None


class RequestGuard:
    """Checks the requests of one app."""

    def __init__(
        self, settings: Settings, scopes: Mapping[str, Scope | None], standby: Callable[[], str]
    ) -> None:
        if settings.tokens is None and not settings.loopback:
            raise SettingsError(
                f"without tokens it listens on this machine only: {settings.host} is open to others;"
                " make a token with backfilld token new NAME and give --tokens FILE,"
                " or give --listen 127.0.0.1:PORT"
            )
        self._tokens = Tokens(settings.tokens) if settings.tokens is not None else None
        self._scopes = scopes
        self._standby = standby
        self._hosts = {"localhost", "127.0.0.1", "[::1]", _bracketed(settings.host), *settings.allowed_hosts}
        self._sessions = Sessions()
        self._buckets = TokenBuckets(settings.rate)

    def check(self) -> None:
        """Check the current request.

        Raises:
            HTTPException: the request is rejected; the message says why.
            NotLeader: the request is a change, and another daemon leads.
        """
        g.request_id = _request_id()
        self._check_host()
        _check_origin()
        needed = self._scopes.get(request.endpoint or "", _default_scope())
        g.principal = self._identify(needed)
        self._check_rate(needed)
        if needed is not None:
            _authorize(g.principal, needed)
        # Without a known leader the state database decides, or says why it cannot.
        if needed is Scope.OPERATE and (leader := self._standby()) not in ("", UNKNOWN):
            raise NotLeader(
                f"this daemon is on standby and makes no changes: {leader}; send the request there"
            )

    def log_in(self, text: str) -> tuple[Principal, str]:
        """Open a session for a token. Returns the client and the value of Set-Cookie.

        Raises:
            Conflict: the daemon has no tokens.
            Unauthorized: the token is unknown.
            ServiceUnavailable: the token file cannot be used.
        """
        if self._tokens is None:
            raise Conflict("this daemon has no tokens: no login is needed")
        with _usable():
            token = self._tokens.find(text)
        if token is None:
            raise _unauthorized("this token is not known", "invalid_token")
        return Principal(token.name, token.scope), _cookie(self._sessions.begin(token), LIFETIME_SECONDS)

    def log_out(self) -> str:
        """End the session of the request, if it has one. Returns the Set-Cookie that deletes the cookie."""
        self._sessions.end(request.cookies.get(COOKIE, ""))
        return _cookie("", 0)

    def _check_host(self) -> None:
        """Reject a foreign host name that resolves to this machine (DNS rebinding)."""
        host = request.headers.get("Host", "")
        match = _HOST.fullmatch(host)
        if match is None or match[1].lower() not in self._hosts:
            known = ", ".join(sorted(self._hosts))
            raise Forbidden(
                f"the Host {host!r} is not this daemon; use one of {known}, or --allowed-host NAME"
            )

    def _check_rate(self, needed: Scope | None) -> None:
        """Limit the changes and the reads of a client. Health and metrics have no limit, but a lane."""
        operator = needed is Scope.OPERATE
        if lane_of(request.method, request.path, operator=operator) in UNLIMITED:
            return
        wait = self._buckets.take((request.remote_addr, g.principal and g.principal.name, operator))
        if wait:
            raise TooManyRequests(
                f"more requests than {self._buckets.rate:g} a second; try again later",
                retry_after=math.ceil(wait),
            )

    def identify(self, authorization: str, cookies: str) -> Principal | None:
        """The client by the headers Authorization and Cookie; None without credentials or with unknown ones.

        Never raises: with an unusable token file no client is known.
        """
        if self._tokens is None:
            return EVERYONE
        try:
            token = self._presented(self._tokens, authorization, parse_cookie(cookies).get(COOKIE, ""))
        except SettingsError:
            return None
        return Principal(token.name, token.scope) if token is not None else None

    def _identify(self, needed: Scope | None) -> Principal | None:
        """The client of the current request; None without credentials or with unknown ones."""
        if self._tokens is None:
            return EVERYONE
        session = request.cookies.get(COOKIE, "")
        try:
            with _usable():
                token = self._presented(self._tokens, request.headers.get("Authorization", ""), session)
        except ServiceUnavailable:
            if needed is None:
                return None
            raise
        return Principal(token.name, token.scope) if token is not None else None

    def _presented(self, tokens: Tokens, authorization: str, session: str) -> Token | None:
        """The token of the Authorization header, or the one that opened the session of the cookie."""
        if authorization:
            scheme, _, text = authorization.partition(" ")
            return tokens.find(text.strip()) if scheme.lower() == "bearer" else None
        opened_by = self._sessions.find(session)
        return tokens.by_digest(opened_by) if opened_by is not None else None


@contextlib.contextmanager
def _usable() -> Iterator[None]:
    """Log an unusable token file; the client only gets a 503, because it cannot repair the file."""
    try:
        yield
    except SettingsError as error:
        log.error("%s; no client is admitted until it is repaired", error)
        raise ServiceUnavailable("the token file cannot be used; the daemon's log says why") from error


def _authorize(client: Principal | None, needed: Scope) -> None:
    if client is None:
        if "Authorization" in request.headers:
            raise _unauthorized("this token is not known", "invalid_token")
        raise _unauthorized(f"this needs a token with the scope '{needed}': Authorization: Bearer TOKEN")
    if not client.scope.covers(needed):
        raise Forbidden(f"this needs the scope '{needed}'; the token '{client.name}' has '{client.scope}'")


def _unauthorized(message: str, error: str | None = None) -> Unauthorized:
    challenge = {"realm": _REALM, "error": error} if error else {"realm": _REALM}
    return Unauthorized(message, www_authenticate=WWWAuthenticate("bearer", dict(challenge)))


def _default_scope() -> Scope:
    return Scope.READ if request.method in _READ_METHODS or request.endpoint is None else Scope.OPERATE


def _finish(response: Response) -> Response:
    response.headers["X-Request-Id"] = g.get("request_id", "")
    response.headers["X-Content-Type-Options"] = "nosniff"
    caching = "private, no-cache" if "ETag" in response.headers else "no-store"
    response.headers.setdefault("Cache-Control", caching)
    # The problem of a 500 refers to the log by the id of the request, so that has to be logged.
    if request.method not in _READ_METHODS or response.status_code == 500:
        values = (
            request.method,
            request.path,
            principal().name,
            response.status_code,
            g.get("request_id", ""),
        )
        log.info("%s %r by %s: %s (request %s)", *values)
    return response


def _request_id() -> str:
    sent = request.headers.get("X-Request-Id", "")
    usable = _REQUEST_ID.fullmatch(sent) and redacted(sent) == sent  # it is logged and stored: never a token
    return sent if usable else uuid.uuid4().hex


def _check_origin() -> None:
    """Reject changes that a page of another site sends through the browser of a user (CSRF)."""
    origin = request.headers.get("Origin")
    if origin is None or request.method in _READ_METHODS:
        return
    if origin.partition("://")[2].lower() != request.headers.get("Host", "").lower():
        raise Forbidden(f"the Origin {origin!r} is not this daemon; pages of other sites may not change it")


def _cookie(text: str, seconds: float) -> str:
    """The Set-Cookie value: HttpOnly, SameSite=Strict, and Secure if the request came over TLS."""
    secure = "; Secure" if request.headers.get("Origin", "").startswith("https://") else ""
    return f"{COOKIE}={text}; Path=/; Max-Age={seconds:.0f}; HttpOnly; SameSite=Strict{secure}"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host.lower()
