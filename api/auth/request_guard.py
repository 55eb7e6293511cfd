"""Who may come in: hosts, origins, sizes, rates, tokens and scopes; and who a change is recorded under."""

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

from backfilld.api.auth.rate_limit import TokenBuckets
from backfilld.api.auth.sessions import LIFETIME_SECONDS, Sessions
from backfilld.api.auth.tokens import ANONYMOUS, Scope, Token, Tokens, redacted
from backfilld.daemon.engine.commands import Conflict
from backfilld.daemon.settings import Settings, SettingsError
from backfilld.state.records import Actor
from backfilld.state.store.errors import NotLeader

log = logging.getLogger(__name__)

LARGEST_BODY = 1 << 20
"""Bytes of a request's body."""
COOKIE = "backfilld_session"

_EXTENSION = "backfilld-guard"
_REALM = "backfilld"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,100}")
_HOST = re.compile(r"(\[[0-9a-f:]+\]|[^\[\]:@/]+)(:[0-9]{1,5})?", re.IGNORECASE)
_READING = ("GET", "HEAD")


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody who asks, by the name of the token."""

    name: str
    scope: Scope


EVERYONE = Principal(ANONYMOUS, Scope.OPERATE)
"""Whoever reaches a daemon without tokens."""


def init_app(
    app: Flask, settings: Settings, scopes: Mapping[str, Scope | None], *, standby: Callable[[], str]
) -> None:
    """Check every request before any view sees it. An endpoint that `scopes` does not have needs a token.

    `standby` says which daemon leads, where it is another: changes are for that one.

    Raises:
        SettingsError: the tokens cannot be read, or it would be open to others without any.
    """
    guard = RequestGuard(settings, scopes, standby)
    app.extensions[_EXTENSION] = guard
    app.config["MAX_CONTENT_LENGTH"] = LARGEST_BODY
    app.before_request(guard.check)
    app.after_request(_finish)


def current() -> RequestGuard:
    """The guard of the app that answers now."""
    guard: RequestGuard = current_app.extensions[_EXTENSION]
    return guard


def current_actor() -> Actor:
    """Who asks and from where, as history and audit will have it."""
    return Actor(name=principal().name, address=request.remote_addr or "", request_id=g.request_id)


def principal() -> Principal:
    """Who asks."""
    found: Principal | None = g.get("principal")
    return found or Principal(ANONYMOUS, Scope.READ)


class RequestGuard:
    """The door of one app."""

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
        """Let the request of this moment in, or refuse it.

        Raises:
            HTTPException: it is refused; the message says why.
            StandsBy: it would change something, and another daemon leads.
        """
        g.request_id = _request_id()
        self._check_host()
        _check_origin()
        needed = self._scopes.get(request.endpoint or "", _usual_scope())
        g.principal = self._identify(needed)
        self._check_rate()
        if needed is not None:
            _authorize(g.principal, needed)
        if needed is Scope.OPERATE and (leader := self._standby()):
            raise NotLeader(f"this daemon stands by and changes nothing: {leader}; ask that one")

    def log_in(self, text: str) -> tuple[Principal, str]:
        """Open a session for a token; whose it is, and the value of the cookie.

        Raises:
            Refused: there are no tokens.
            Unauthorized: it is none.
            ServiceUnavailable: the token file cannot be used.
        """
        if self._tokens is None:
            raise Conflict("this daemon has no tokens: nobody needs to log in")
        with _usable():
            token = self._tokens.find(text)
        if token is None:
            raise _unauthorized("this token is not known", "invalid_token")
        return Principal(token.name, token.scope), _cookie(self._sessions.begin(token), LIFETIME_SECONDS)

    def log_out(self) -> str:
        """End the session of this request, if it has one; the value of the cookie that takes it away."""
        self._sessions.end(request.cookies.get(COOKIE, ""))
        return _cookie("", 0)

    def _check_host(self) -> None:
        """A name that only pretends to be this machine (DNS rebinding) stays outside."""
        host = request.headers.get("Host", "")
        match = _HOST.fullmatch(host)
        if match is None or match[1].lower() not in self._hosts:
            known = ", ".join(sorted(self._hosts))
            raise Forbidden(
                f"the Host {host!r} is not this daemon; use one of {known}, or --allowed-host NAME"
            )

    def _check_rate(self) -> None:
        wait = self._buckets.take((request.remote_addr, g.principal and g.principal.name))
        if wait:
            raise TooManyRequests(
                f"more requests than {self._buckets.rate:g} a second; ask again later",
                retry_after=math.ceil(wait),
            )

    def _identify(self, needed: Scope | None) -> Principal | None:
        """Who asks; None when nobody says so, or what they say is not true."""
        if self._tokens is None:
            return EVERYONE
        try:
            with _usable():
                token = self._presented(self._tokens)
        except ServiceUnavailable:
            if needed is None:
                return None
            raise
        return Principal(token.name, token.scope) if token is not None else None

    def _presented(self, tokens: Tokens) -> Token | None:
        """The token of the header, or the one that opened the session of the cookie."""
        if "Authorization" in request.headers:
            scheme, _, text = request.headers["Authorization"].partition(" ")
            return tokens.find(text.strip()) if scheme.lower() == "bearer" else None
        opened_by = self._sessions.find(request.cookies.get(COOKIE, ""))
        return tokens.by_digest(opened_by) if opened_by is not None else None


@contextlib.contextmanager
def _usable() -> Iterator[None]:
    """A token file that cannot be used is told in the log, and is nothing that a client could mend."""
    try:
        yield
    except SettingsError as error:
        log.error("%s; nobody is admitted until that is mended", error)
        raise ServiceUnavailable("the token file cannot be used; the daemon's log says why") from error


def _authorize(who: Principal | None, needed: Scope) -> None:
    if who is None:
        if "Authorization" in request.headers:
            raise _unauthorized("this token is not known", "invalid_token")
        raise _unauthorized(f"this needs a token with the scope '{needed}': Authorization: Bearer TOKEN")
    if not who.scope.covers(needed):
        raise Forbidden(f"this needs the scope '{needed}'; the token '{who.name}' has '{who.scope}'")


def _unauthorized(message: str, error: str | None = None) -> Unauthorized:
    challenge = {"realm": _REALM, "error": error} if error else {"realm": _REALM}
    return Unauthorized(message, www_authenticate=WWWAuthenticate("bearer", dict(challenge)))


def _usual_scope() -> Scope:
    return Scope.READ if request.method in _READING or request.endpoint is None else Scope.OPERATE


def _finish(response: Response) -> Response:
    response.headers["X-Request-Id"] = g.get("request_id", "")
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers.setdefault("Cache-Control", "no-store")
    # An answer of 500 sends its reader to the log, where its request has to stand.
    if request.method not in _READING or response.status_code == 500:
        words = (
            request.method,
            request.path,
            principal().name,
            response.status_code,
            g.get("request_id", ""),
        )
        log.info("%s %r by %s: %s (request %s)", *words)
    return response


def _request_id() -> str:
    given = request.headers.get("X-Request-Id", "")
    usable = _REQUEST_ID.fullmatch(given) and redacted(given) == given  # it is logged and kept: never a token
    return given if usable else uuid.uuid4().hex


def _check_origin() -> None:
    """No page of another site may change anything through somebody's browser."""
    origin = request.headers.get("Origin")
    if origin is None or request.method in _READING:
        return
    if origin.partition("://")[2].lower() != request.headers.get("Host", "").lower():
        raise Forbidden(f"the Origin {origin!r} is not this daemon; pages of other sites may not change it")


def _cookie(text: str, seconds: float) -> str:
    """Out of reach of scripts and of other sites; over TLS only, where the browser says that it came so."""
    secure = "; Secure" if request.headers.get("Origin", "").startswith("https://") else ""
    return f"{COOKIE}={text}; Path=/; Max-Age={seconds:.0f}; HttpOnly; SameSite=Strict{secure}"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host.lower()
