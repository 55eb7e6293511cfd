"""How DuckDB is run in this process, for every kind of warehouse that it reads."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import duckdb

from backfilld.daemon.warehouses.adapter import TimeType
from backfilld.daemon.warehouses.sql.backend_interface import Row, require_dates, require_distinct_names

SETTINGS: Mapping[str, str | bool | int] = {
    "threads": 2,
    "memory_limit": "512MB",
    "autoinstall_known_extensions": False,
    "preserve_insertion_order": False,
}
QUERY_ERRORS = (duckdb.BinderException, duckdb.CatalogException, duckdb.ParserException)
"""Errors that no row and no file causes: a column or a function that does not exist."""


def time_type(kind: str) -> TimeType | None:
    """What a column has by the name of its type in DuckDB: local times or instants; None for all else."""
    if not kind.startswith("TIMESTAMP"):
        return None
    is_instant = kind.startswith("TIMESTAMPTZ") or kind.endswith("TIME ZONE")
    return "timestamp" if is_instant else "datetime"


def restrict(connection: duckdb.DuckDBPyConnection) -> None:
    """Set the time zone to UTC, deny files outside of `allowed_directories`, and lock the settings.

    All of that holds for every cursor of the connection.
    """
    # The time zone is not among the settings: older versions know no zones yet there. It is GLOBAL because a
    # cursor is a session of its own, which else has the zone of the process.
    connection.execute("SET GLOBAL TimeZone = 'UTC'")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def fetch(
    cursor: duckdb.DuckDBPyConnection, text: str, params: Mapping[str, Any], timeout: float
) -> list[Row]:
    """The rows of the answer, interrupted after `timeout` seconds.

    Raises:
        duckdb.Error: DuckDB refuses the query, or was interrupted.
        QueryError: the column `date` has times, or two columns have the same name.
    """
    guard = threading.Timer(timeout, cursor.interrupt)
    guard.start()
    try:
        cursor.execute(text, params)
        description = cursor.description or ()
        for name, kind, *_ in description:
            if name == "date":
                require_dates(str(kind))
        names = [column[0] for column in description]
        require_distinct_names(names)
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    finally:
        guard.cancel()
