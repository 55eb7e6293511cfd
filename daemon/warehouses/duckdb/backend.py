"""A DuckDB file, queried in copies of its latest committed state."""

from __future__ import annotations

from contextlib import ExitStack
from functools import lru_cache
from typing import Any

import duckdb

from backfilld.daemon.warehouses.adapter import CORRECT, Purpose, QueryError, QueryHooks, WarehouseError
from backfilld.daemon.warehouses.duckdb.snapshot import Snapshots
from backfilld.daemon.warehouses.sql.backend_interface import Row
from backfilld.daemon.warehouses.sql.date_predicates import as_list
from backfilld.daemon.warehouses.sql.duckdb_session import QUERY_ERRORS, HungError, fetch
from backfilld.daemon.warehouses.sql.evidence_queries import CACHED, Query, Statement
from backfilld.daemon.warehouses.sql.fragment_embedding import with_parameters, with_user_sql
from backfilld.state.formatting import first_line


class DuckDB:
    """The backend over one file. Safe to call from several threads."""

    def __init__(self, snapshots: Snapshots, timeout: float, hooks: QueryHooks) -> None:
        self._snapshots = snapshots
        self._timeout = timeout
        self._hooks = hooks

    def query(self, query: Query, *, purpose: Purpose) -> list[Row]:
        """The rows of the answer.

        Raises:
            QueryError: DuckDB refuses this query, or does not answer it in time.
            WarehouseError: the file cannot be read now.
        """
        return self._answer(query, purpose=purpose)

    def check(self, query: Query) -> None:
        """Check the query by its plan.

        Raises:
            QueryError: DuckDB refuses this query.
            WarehouseError: the file cannot be read now.
        """
        self._answer(query, before="EXPLAIN ")

    def estimate_bytes(self, query: Query) -> int:
        """0: reading a file costs nothing."""
        del query
        return 0

    def close(self) -> None:
        """Discard the copy. Idempotent."""
        self._snapshots.close()

    def _answer(self, query: Query, *, before: str = "", purpose: Purpose | None = None) -> list[Row]:
        text = before + "\nUNION ALL\n".join(_rendered(select.statement) for select in query.selects)
        params: dict[str, Any] = {
            name: as_list(value) for name, value in query.params.items() if f"${name}" in text
        }
        try:
            with ExitStack() as session:
                cursor = session.enter_context(self._snapshots.cursor())
                if purpose:
                    self._hooks.on_query(purpose, 0)
                try:
                    return fetch(cursor, text, params, self._timeout)
                except HungError:
                    session.pop_all()  # the cursor is not closed: its thread lets it go
                    raise
        except (duckdb.Error, QueryError, WarehouseError) as error:
            self._hooks.on_error()
            raise self._translate_error(error) from error

    def _translate_error(self, error: Exception) -> Exception:
        match error:
            case duckdb.InterruptException():
                return QueryError(f"DuckDB did not answer within {self._timeout:g} s", inaccessible=True)
            case duckdb.FatalException() | duckdb.InternalException():
                self._snapshots.close()  # it answers nothing more; the next query opens another copy
                return WarehouseError(f"DuckDB gave up: {first_line(str(error))}")
            case duckdb.Error():
                of_query = isinstance(error, QUERY_ERRORS)
                remedy = f"; {CORRECT}" if of_query else ""
                return QueryError(
                    f"{first_line(str(error))}{remedy}",
                    inaccessible=isinstance(error, duckdb.CatalogException),
                    permanent=of_query,
                )
            case _:
                return error


@lru_cache(maxsize=CACHED)
def _rendered(statement: Statement) -> str:
    return with_user_sql(statement.tree, lambda text: with_parameters(text, "$")).sql("duckdb")
