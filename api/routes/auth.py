"""Access: who asks, sessions for browsers, and who has changed what."""

from __future__ import annotations

import dataclasses
import datetime as dt

from backfilld.api.auth import request_guard
from backfilld.api.endpoint import Reply, Router
from backfilld.api.ports import DaemonService
from backfilld.api.schemas import requests
from backfilld.api.schemas.auth import Audit, AuditEntry, Identity, LoggedOut
from backfilld.api.schemas.fields import next_cursor
from backfilld.state.store import audit

section = Router("access", "Who asks, and who has changed what")
DAY = dt.timedelta(days=1)


@section.get("/v1/whoami", Identity)
def whoami(service: DaemonService) -> Identity:
    """Who asks, by the name of the token, and what that may do."""
    return _told(request_guard.principal())


@section.post(
    "/login", Identity, body=requests.Login, open=True, problems=(401, 409, 503), headers=("Set-Cookie",)
)
def login(service: DaemonService, *, body: requests.Login) -> Reply:
    """Open a session for a token: what follows needs the cookie alone.

    The cookie is out of reach of scripts and is sent to this site only. It lasts twelve hours, and no longer
    than the token or the daemon's process.
    """
    who, cookie = request_guard.current().log_in(body.token)
    return Reply(body=_told(who), headers={"Set-Cookie": cookie})


@section.post("/logout", LoggedOut, body=requests.EmptyBody, open=True, headers=("Set-Cookie",))
def logout(service: DaemonService, *, body: requests.EmptyBody) -> Reply:
    """End the session of the cookie."""
    return Reply(body=LoggedOut(logged_out=True), headers={"Set-Cookie": request_guard.current().log_out()})


@section.get("/v1/audit", Audit, query=requests.AuditPage)
def changes(service: DaemonService, *, query: requests.AuditPage) -> Audit:
    """Every change that somebody asked for, newest first: who, from where, what, before and after."""
    with service.context.db.read() as tx:
        found = audit.page(
            tx,
            below=query.cursor,
            limit=query.limit + 1,
            actor=query.actor,
            action=query.action,
            target=query.target,
            since=_midnight(query.start) if query.start else None,
            until=_midnight(query.end + DAY) if query.end else None,
        )
    items = [AuditEntry(**dataclasses.asdict(row)) for row in found[: query.limit]]
    return Audit(items=items, next_cursor=next_cursor("id", found, query.limit))


def _told(who: request_guard.Principal) -> Identity:
    return Identity(name=who.name, scope=who.scope.value)


def _midnight(date: dt.date) -> float:
    return dt.datetime.combine(date, dt.time(), dt.UTC).timestamp()
