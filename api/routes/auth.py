"""Authentication: the current identity, browser sessions, and the audit log."""

from __future__ import annotations

import datetime as dt

from backfilld.api.auth import request_guard
from backfilld.api.daemon_protocol import DaemonService
from backfilld.api.endpoint_definition import Reply, Router
from backfilld.api.schemas import requests
from backfilld.api.schemas.auth import Audit, AuditEntry, Identity, LoggedOut
from backfilld.api.schemas.fields import next_cursor
from backfilld.state.store import audit

section = Router("auth", "Identity, browser sessions and the audit log")
DAY = dt.timedelta(days=1)


@section.get("/v1/whoami", Identity)
def whoami(service: DaemonService) -> Identity:
    """The name of the token in use, and its scope."""
    return _identity(request_guard.principal())


@section.post(
    "/login", Identity, body=requests.Login, public=True, problems=(401, 409, 503), headers=("Set-Cookie",)
)
def login(service: DaemonService, *, body: requests.Login) -> Reply:
    """Open a session for a token: later requests need only the cookie.

    The cookie is HttpOnly and SameSite=Strict. It is valid for twelve hours, at most as long as the token,
    and until the daemon restarts.
    """
    who, cookie = request_guard.current().log_in(body.token)
    return Reply(body=_identity(who), headers={"Set-Cookie": cookie})


@section.post("/logout", LoggedOut, body=requests.EmptyBody, public=True, headers=("Set-Cookie",))
def logout(service: DaemonService, *, body: requests.EmptyBody) -> Reply:
    """End the session of the cookie."""
    return Reply(body=LoggedOut(logged_out=True), headers={"Set-Cookie": request_guard.current().log_out()})


@section.get("/v1/audit", Audit, query=requests.AuditPage)
def list_audit_entries(service: DaemonService, *, query: requests.AuditPage) -> Audit:
    """Every requested change, newest first: actor, address, action, values before and after."""
    with service.context.db.read() as tx:
        rows = audit.page(
            tx,
            below=query.cursor,
            limit=query.limit + 1,
            actor=query.actor,
            action=query.action,
            target=query.target,
            since=_midnight(query.start) if query.start else None,
            until=_midnight(query.end + DAY) if query.end else None,
        )
    items = [AuditEntry.model_validate(row) for row in rows[: query.limit]]
    return Audit(items=items, next_cursor=next_cursor("id", rows, query.limit))


def _identity(who: request_guard.Principal) -> Identity:
    return Identity(name=who.name, scope=who.scope.value)


def _midnight(date: dt.date) -> float:
    return dt.datetime.combine(date, dt.time(), dt.UTC).timestamp()
