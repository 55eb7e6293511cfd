"""A table as the server's catalog has it, with its names as they are stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backfilld.daemon.warehouses.adapter import QueryError
from backfilld.daemon.warehouses.postgresql.backend import Postgresql

_RELATION = """
SELECT c.relkind::text AS kind, c.reltuples::float8 AS rows,
  has_schema_privilege(n.oid, 'USAGE') AND has_any_column_privilege(c.oid, 'SELECT') AS readable,
  (SELECT json_object_agg(a.attname, format_type(a.atttypid, NULL)) FROM pg_attribute a
   WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
  (SELECT array_agg(DISTINCT a.attname::text) FROM pg_index i
   JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
   WHERE i.indrelid = c.oid AND i.indisvalid) AS indexed,
  (SELECT a.attname::text FROM pg_partitioned_table p
   JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = p.partattrs[0]
   WHERE p.partrelid = c.oid) AS partitioned
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %(schema)s AND c.relname = %(table)s AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND %(database)s IN ('', current_database())
"""
TABLES = ("r", "p")
"""The kinds of relations whose rows are written as rows: plain and partitioned tables."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    """A table, a view or a foreign table, with its names as they are stored."""

    kind: str
    """The letter of `pg_class.relkind`."""
    rows: float
    """About how many rows it has; below 0 where that was never counted."""
    columns: Mapping[str, str]
    """The type of each column."""
    indexed: frozenset[str]
    """Columns that an index begins with."""
    partition_column: str | None


def read_relation(backend: Postgresql, table: str) -> Relation | None:
    """A table by its name in the pipeline file; None if it does not exist.

    Raises:
        QueryError: the table may not be read.
        WarehouseError: nothing can be queried now.
    """
    *database, schema, name = table.split(".")
    words = {"database": "".join(database), "schema": schema, "table": name}
    for row in backend.metadata(_RELATION, words):
        if not row["readable"]:
            raise QueryError(
                f"permission denied for {table}; grant SELECT", inaccessible=True, permanent=True
            )
        return _relation(row)
    return None


def _relation(row: Mapping[str, Any]) -> Relation:
    return Relation(
        kind=str(row["kind"]),
        rows=float(str(row["rows"])),
        columns=dict(row["columns"] or {}),
        indexed=_names(row["indexed"]),
        partition_column=str(row["partitioned"]) if row["partitioned"] else None,
    )


def _names(value: object) -> frozenset[str]:
    return frozenset(map(str, value)) if isinstance(value, list) else frozenset()
