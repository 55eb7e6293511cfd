"""INSERT with ON CONFLICT, in the words of whichever database it is."""

from __future__ import annotations

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite


def insert(tx: Connection, table: Table) -> sqlite.Insert:
    """An INSERT that knows `on_conflict_do_update` and `on_conflict_do_nothing`."""
    if tx.dialect.name == "postgresql":
        # Both dialects spell these clauses alike; the types differ in name only.
        return postgresql.insert(table)  # type: ignore[return-value]
    return sqlite.insert(table)
