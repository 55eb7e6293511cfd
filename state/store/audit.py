"""The audit: one row for every requested change, in the transaction of the change itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from operator import eq, ge, lt
from typing import Any

from sqlalchemy import Connection, insert, select

from backfilld.state.records import Action, Actor, AuditRow
from backfilld.state.store import row_mappers
from backfilld.state.store.schema import audit
from backfilld.state.store.sql_helpers import execute

_ADD = insert(audit)

Facts = Mapping[str, Any]
"""What is worth keeping of the thing that changes, as JSON takes it."""


def record(
    tx: Connection,
    by: Actor,
    action: Action,
    target: str,
    *,
    before: Facts | None,
    after: Facts | None,
    now: float,
) -> None:
    """Record a change: None is what was not there before, or is not there after."""
    values = {
        "at": now,
        "actor": by.name,
        "address": by.address,
        "request_id": by.request_id,
        "action": action.value,
        "target": target,
        "before": _text(before),
        "after": _text(after),
    }
    execute(tx, _ADD, [values])


def page(
    tx: Connection,
    *,
    below: int | None,
    limit: int,
    actor: str | None = None,
    action: Action | None = None,
    target: str | None = None,
    since: float | None = None,
    until: float | None = None,
) -> list[AuditRow]:
    """Up to `limit` rows, newest first, with ids below `below`, from `since` on and before `until`."""
    filters = (
        (lt, audit.c.id, below),
        (eq, audit.c.actor, actor),
        (eq, audit.c.action, action),
        (eq, audit.c.target, target),
        (ge, audit.c.at, since),
        (lt, audit.c.at, until),
    )
    chosen = [compare(column, value) for compare, column, value in filters if value is not None]
    query = select(audit).where(*chosen).order_by(audit.c.id.desc()).limit(limit)
    return [row_mappers.audit(row) for row in tx.execute(query)]


def _text(facts: Facts | None) -> str | None:
    return None if facts is None else json.dumps(facts, ensure_ascii=False)
