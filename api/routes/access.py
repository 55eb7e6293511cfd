"""Access: who asks, and sessions for browsers."""

from __future__ import annotations

from api import guard
from api.endpoint import Reply, Section
from api.schemas import asked, told
from api.served import Served

section = Section("access", "Who asks, and sessions for browsers")


@section.get("/v1/whoami", told.Identity)
def whoami(service: Served) -> told.Identity:
    """Who asks, by the name of the token, and what that may do."""
    return _told(guard.principal())


@section.post("/login", told.Identity, body=asked.Login, open=True, problems=(401, 409, 503))
def login(service: Served, *, body: asked.Login) -> Reply:
    """Open a session for a token: what follows needs the cookie alone.

    The cookie is out of reach of scripts and is sent to this site only. It lasts twelve hours, and no longer
    than the token or the daemon's process.
    """
    who, cookie = guard.current().log_in(body.token)
    return Reply(body=_told(who), headers={"Set-Cookie": cookie})


@section.post("/logout", told.LoggedOut, body=asked.Nothing, open=True)
def logout(service: Served, *, body: asked.Nothing) -> Reply:
    """End the session of the cookie."""
    return Reply(body=told.LoggedOut(logged_out=True), headers={"Set-Cookie": guard.current().log_out()})


def _told(who: guard.Principal) -> told.Identity:
    return told.Identity(name=who.name, scope=who.scope.value)
