"""Response models of the audit log."""

from __future__ import annotations

from typing import Any

from backfilld.api.schemas.field_types import ReportModel, ResponseModel, Time
from backfilld.state.records import Action


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
