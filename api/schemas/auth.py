"""Response models of authentication and the audit log."""

from __future__ import annotations

from typing import Any, Literal

from backfilld.api.schemas.fields import ReportModel, ResponseModel, Time
from backfilld.state.records import Action


class Identity(ResponseModel):
    """The name of the token in use, and its scope."""

    name: str
    scope: Literal["read", "operate"]


class LoggedOut(ResponseModel):
    """The session is over."""

    logged_out: bool


class AuditEntry(ReportModel):
    """One change: actor, address, action, and the values before and after (null: did not exist)."""

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
