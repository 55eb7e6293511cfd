"""Access: who asks, sessions for browsers, and who has changed what."""

from __future__ import annotations

import dataclasses
import datetime as dt

from api.access import guard
from api.endpoint import Reply, Section
from api.schemas import asked
from api.schemas.access import Audit, AuditEntry, Identity, LoggedOut
from api.schemas.fields import next_cursor
from api.served import Served
from state.store import audit

section = Section("access", "Who asks, and who has changed what")
DAY = dt.timedelta(days=1)


@section.get("/v1/whoami", Identity)
def whoami(service: Served) -> Identity:
    """Who asks, by the name of the token, and what that may do."""
    return _told(guard.principal())


@section.post(
    "/login", Identity, body=asked.Login, open=True, problems=(401, 409, 503), headers=("Set-Cookie",)
)
def login(service: Served, *, body: asked.Login) -> Reply:
    """Open a session for a token: what follows needs the cookie alone.

    The cookie is out of reach of scripts and is sent to this site only. It lasts twelve hours, and no longer
    than the token or the daemon's process.
    """
    who, cookie = guard.current().log_in(body.token)
    return Reply(body=_told(who), headers={"Set-Cookie": cookie})


@section.post("/logout", LoggedOut, body=asked.Nothing, open=True, headers=("Set-Cookie",))
def logout(service: Served, *, body: asked.Nothing) -> Reply:
    """End the session of the cookie."""
    return Reply(body=LoggedOut(logged_out=True), headers={"Set-Cookie": guard.current().log_out()})


@section.get("/v1/audit", Audit, query=asked.AuditPage)
def changes(service: Served, *, query: asked.AuditPage) -> Audit:
    """Every change that somebody asked for, newest first: who, from where, what, before and after."""
    with service.core.db.read() as tx:
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


def _told(who: guard.Principal) -> Identity:
    return Identity(name=who.name, scope=who.scope.value)


def _midnight(date: dt.date) -> float:
    return dt.datetime.combine(date, dt.time(), dt.UTC).timestamp()
