"""Who asks, and what they have changed, as the API tells it."""

from __future__ import annotations

from typing import Any, Literal

from backfilld.api.schemas.fields import ResponseModel, Time
from backfilld.state.records import Action


class Identity(ResponseModel):
    """Who asks, by the name of the token, and what that may do."""

    name: str
    scope: Literal["read", "operate"]


class LoggedOut(ResponseModel):
    """The session is over."""

    logged_out: bool


class AuditEntry(ResponseModel):
    """One change: who, from where, what, and how that stood before and after (null: there was nothing)."""

    id: int
    at: Time
    actor: str
    address: str
    request_id: str
    action: Action
    target: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class Audit(ResponseModel):
    """A page of changes, newest first."""

    items: list[AuditEntry]
    next_cursor: str | None
