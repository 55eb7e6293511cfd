"""The audit log: every requested change."""

from __future__ import annotations

import datetime as dt

from backfilld.api.daemon_interface import DaemonService
from backfilld.api.endpoint_definition import Router
from backfilld.api.schemas import list_query_parameters
from backfilld.api.schemas.audit import Audit, AuditEntry
from backfilld.api.schemas.field_types import next_cursor
from backfilld.state.store import audit

section = Router("audit", "The audit log")
DAY = dt.timedelta(days=1)


@section.get("/v1/audit", Audit, query=list_query_parameters.AuditPage)
def list_audit_entries(service: DaemonService, *, query: list_query_parameters.AuditPage) -> Audit:
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


def _midnight(date: dt.date) -> float:
    return dt.datetime.combine(date, dt.time(), dt.UTC).timestamp()
