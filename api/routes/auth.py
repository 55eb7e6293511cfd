"""Authentication: the current identity, and browser sessions."""

from __future__ import annotations

from backfilld.api.auth import request_guard
from backfilld.api.daemon_interface import DaemonService
from backfilld.api.endpoint_definition import Reply, Router
from backfilld.api.schemas import small_request_bodies
from backfilld.api.schemas.identity import Identity, LoggedOut

section = Router("auth", "Identity and browser sessions")


@section.get("/v1/whoami", Identity)
def whoami(service: DaemonService) -> Identity:
    """The name of the token in use, and its scope."""
    return _identity(request_guard.principal())


@section.post(
    "/login",
    Identity,
    body=small_request_bodies.Login,
    public=True,
    problems=(401, 409, 503),
    headers=("Set-Cookie",),
)
def login(service: DaemonService, *, body: small_request_bodies.Login) -> Reply:
    """Open a session for a token: later requests need only the cookie.

    The cookie is HttpOnly and SameSite=Strict. It is valid for twelve hours, at most as long as the token,
    and until the daemon restarts.
    """
    who, cookie = request_guard.current().log_in(body.token)
    return Reply(body=_identity(who), headers={"Set-Cookie": cookie})


@section.post("/logout", LoggedOut, body=small_request_bodies.EmptyBody, public=True, headers=("Set-Cookie",))
def logout(service: DaemonService, *, body: small_request_bodies.EmptyBody) -> Reply:
    """End the session of the cookie."""
    return Reply(body=LoggedOut(logged_out=True), headers={"Set-Cookie": request_guard.current().log_out()})


def _identity(who: request_guard.Principal) -> Identity:
    return Identity(name=who.name, scope=who.scope.value)
