"""Row-level security: tables whose policies hide rows from the daemon's role look empty, and are not."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from functools import partial

from backfilld.daemon.preflight.findings import Finding, failed, passed, warned
from backfilld.daemon.warehouses.adapter import (
    Partition,
    PreflightScope,
    QueryError,
    TableInfo,
    WarehouseError,
)
from backfilld.daemon.warehouses.postgresql.backend import Postgresql
from backfilld.daemon.warehouses.sql.backend_interface import Row

_SECURED = """
SELECT n.nspname || '.' || c.relname AS name, current_user::text AS role,
  EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polpermissive AND p.polcmd IN ('r', '*')
    AND EXISTS (SELECT FROM unnest(p.polroles) AS role WHERE role = 0 OR pg_has_role(role, 'USAGE')))
  AS has_policy
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relrowsecurity AND row_security_active(c.oid) AND n.nspname || '.' || c.relname = ANY(%(names)s)
"""
REMEDY = "add a policy FOR SELECT that lets the role see all rows, or ALTER ROLE … BYPASSRLS"


def hidden_rows(backend: Postgresql) -> partial[Mapping[Partition, str]]:
    """A function that says for partitions without rows that policies may hide them."""
    return partial(_hidden_rows, backend)


def _hidden_rows(backend: Postgresql, partitions: Collection[Partition]) -> Mapping[Partition, str]:
    with suppress(QueryError, WarehouseError):  # it explains a verdict, and changes none
        secured = _secured(backend, {partition.table for partition in partitions})
        return {part: f"{secured[part.table][1]}; {REMEDY}" for part in partitions if part.table in secured}
    return {}


def check(scope: PreflightScope, *, backend: Postgresql) -> Iterator[Finding]:
    """Whether policies hide rows from the daemon's role."""
    readable = [table for table, info in scope.tables.items() if isinstance(info, TableInfo)]
    secured = _secured(backend, readable)
    for has_policy, sentence in secured.values():
        yield (warned if has_policy else failed)(sentence, REMEDY)
    if not secured:
        yield passed("no table hides rows from the daemon's role")


def _secured(backend: Postgresql, tables: Collection[str]) -> Mapping[str, tuple[bool, str]]:
    """Each table that may hide rows: whether a policy lets the role see some, and a sentence.

    Raises:
        QueryError: the catalog may not be read.
        WarehouseError: nothing can be queried now.
    """
    names = {table: ".".join(table.split(".")[-2:]) for table in tables}
    if not names:
        return {}
    rows = {row["name"]: row for row in backend.metadata(_SECURED, {"names": [*names.values()]})}
    found = {table: rows[name] for table, name in names.items() if name in rows}
    return {table: (bool(row["has_policy"]), _sentence(table, row)) for table, row in found.items()}


def _sentence(table: str, row: Row) -> str:
    role = row["role"]
    if row["has_policy"]:
        return f"row-level security of {table} may hide rows from the role {role}"
    return f"row-level security hides all rows of {table} from the role {role}, for which it has no policy"
