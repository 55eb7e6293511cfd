"""How often in a row a processor ended with the same error."""

from __future__ import annotations

from functools import cache

from sqlalchemy import Connection, Insert, bindparam, case, delete, select

from backfilld.state.store.schema import breaker_counts
from backfilld.state.store.sql_helpers import execute, fetch, upsert_in

_RESET = delete(breaker_counts).where(breaker_counts.c.processor == bindparam("_processor"))
_COUNTED = select(breaker_counts.c.processor)
_LENGTH = select(breaker_counts.c.length).where(breaker_counts.c.processor == bindparam("_processor"))


def counted(tx: Connection) -> set[str]:
    """The processors whose latest attempt ended with an error."""
    return {row.processor for row in fetch(tx, _COUNTED)}


def extend(tx: Connection, processor: str, error: str) -> int:
    """Count one more of `error`; a different one begins at 1. The length so far."""
    execute(tx, _extend(tx.dialect.name), [{"processor": processor, "error": error, "length": 1}])
    ((length,),) = fetch(tx, _LENGTH, {"_processor": processor})
    return int(length)


@cache
def _extend(dialect: str) -> Insert:
    new = upsert_in(dialect, breaker_counts)
    length = case((breaker_counts.c.error == new.excluded.error, breaker_counts.c.length + 1), else_=1)
    changed = {"error": new.excluded.error, "length": length}
    return new.on_conflict_do_update(index_elements=["processor"], set_=changed)


def reset(tx: Connection, processor: str) -> None:
    """End the series of errors: an attempt succeeded, or an operator released the processor."""
    execute(tx, _RESET, [{"_processor": processor}])
