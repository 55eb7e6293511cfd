"""How DuckDB is run in this process, for every kind of warehouse that it reads."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Any

import duckdb

from backfilld.daemon.warehouses.adapter import QueryError, TimeType
from backfilld.daemon.warehouses.sql.backend_interface import Row, require_dates, require_distinct_names

SETTINGS: Mapping[str, str | bool | int] = {
    "threads": 2,
    "memory_limit": "512MB",
    "autoinstall_known_extensions": False,
    "preserve_insertion_order": False,
}
INTERRUPT_SECONDS = 5.0
"""How long a query may take to end after its interrupt."""
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


_FAILURES = (duckdb.Error, ArithmeticError, ValueError, MemoryError, RuntimeError)
"""What a query raises; all but the first where a value cannot be one of Python, or for want of memory."""
_Answer = Future[tuple[Sequence[Any], Sequence[tuple[Any, ...]]]]
"""The description of the columns, and the rows."""


class HungError(QueryError):
    """A query neither ended in time nor after its interrupt; `thread` still runs it on its cursor."""

    def __init__(self, message: str, thread: threading.Thread) -> None:
        self.thread = thread
        super().__init__(message, inaccessible=True)


def fetch(
    cursor: duckdb.DuckDBPyConnection, text: str, params: Mapping[str, Any], timeout: float
) -> list[Row]:
    """The rows of the answer, interrupted after `timeout` seconds.

    Raises:
        duckdb.Error: DuckDB refuses the query, or was interrupted.
        HungError: it did not end after that. The cursor must not be closed.
        QueryError: the column `date` has times, or two columns have the same name.
    """
    answer: _Answer = Future()
    # Not a thread of a pool, which would keep the process from ending.
    thread = threading.Thread(target=_answer, args=(answer, cursor, text, params), name="query", daemon=True)
    thread.start()
    thread.join(timeout)
    if thread.is_alive():
        cursor.interrupt()
        thread.join(INTERRUPT_SECONDS)
    if thread.is_alive():
        raise HungError(f"no answer within {timeout:g} s, and the query cannot be interrupted", thread)
    description, rows = answer.result(0)
    for name, kind, *_ in description:
        if name == "date":
            require_dates(str(kind))
    names = [column[0] for column in description]
    require_distinct_names(names)
    return [dict(zip(names, row, strict=True)) for row in rows]


def _answer(answer: _Answer, cursor: duckdb.DuckDBPyConnection, text: str, params: Mapping[str, Any]) -> None:
    try:
        cursor.execute(text, params)
        answer.set_result((cursor.description or (), cursor.fetchall()))
    except _FAILURES as error:  # raised in the thread that waits
        answer.set_exception(error)
