"""Rewrites that a request still owes: checks in the mode `force`, until an attempt rewrites the output."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection

from sqlalchemy import Connection, bindparam, update

from backfilld.state.records import RunMode
from backfilld.state.store.schema import checks

_FORGET = (
    update(checks)
    .where(checks.c.date.in_(bindparam("_dates", expanding=True)), checks.c.mode == RunMode.FORCE.value)
    .values(mode=RunMode.NORMAL.value)
)


def forget(tx: Connection, requested: Collection[dt.date]) -> None:
    """Drop the rewrites that earlier requests left undone: a new request says itself what it rewrites."""
    if requested:
        tx.execute(_FORGET, {"_dates": list(requested)})
