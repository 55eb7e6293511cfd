"""PostgreSQL's errors translated: one query is refused, or no query can be answered now."""

from __future__ import annotations

import psycopg
from psycopg import errors

from backfilld.daemon.warehouses.adapter import CORRECT, QueryError, WarehouseError
from backfilld.state.formatting import first_line

_MISSING = (errors.UndefinedTable, errors.InvalidSchemaName)
"""Errors of a table that is not there."""
_OF_THE_QUERY = "42"
"""How the codes of errors begin that a query has until it, or a table, is corrected."""
_UNAVAILABLE = ("08", "28", "3D", "57P", "53300")
"""How the codes of errors begin after which no query is answered: connection, login, database, shutdown, and
too many connections."""


def translate_error(error: psycopg.Error, timeout: float) -> QueryError | WarehouseError:
    """The error as one of this package. `timeout` is the time limit of a query in seconds."""
    if isinstance(error, errors.QueryCanceled):
        return QueryError(
            f"PostgreSQL did not answer within {timeout:g} s, or was cancelled", inaccessible=True
        )
    if isinstance(error, errors.LockNotAvailable):
        return QueryError("another session locks the table; it is queried again later")
    lost = error.sqlstate is None and isinstance(error, psycopg.OperationalError)
    if lost or (error.sqlstate or "").startswith(_UNAVAILABLE):
        return WarehouseError(f"PostgreSQL cannot be queried: {_message(error)}")
    if not (error.sqlstate or "").startswith((_OF_THE_QUERY, "3F")):
        return QueryError(_message(error))
    remedy, inaccessible = _remedy(error)
    return QueryError(f"{_message(error)}; {remedy}", inaccessible=inaccessible, permanent=True)


def _remedy(error: psycopg.Error) -> tuple[str, bool]:
    """What helps against an error of the query, and whether its table is missing or denied."""
    if isinstance(error, _MISSING):
        return "create it, or correct its name in the pipeline file", True
    if isinstance(error, errors.InsufficientPrivilege):
        return "grant USAGE on its schema and SELECT on the table to the daemon's role", True
    return CORRECT, False


def _message(error: psycopg.Error) -> str:
    """The server's message and hint; without the text of the query, which the exception repeats."""
    message = error.diag.message_primary or first_line(str(error))
    return f"{message}; {error.diag.message_hint}" if error.diag.message_hint else message
