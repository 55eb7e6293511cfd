"""PostgreSQL by psycopg, in read-only transactions with limits on time, locks and connections."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import psycopg
from psycopg import adapters
from psycopg.rows import dict_row

from backfilld.daemon.warehouses.adapter import Purpose, QueryHooks, WarehouseError
from backfilld.daemon.warehouses.postgresql.connections import Connection, Connections
from backfilld.daemon.warehouses.postgresql.errors import translate_error
from backfilld.daemon.warehouses.postgresql.settings import PostgresqlSettings
from backfilld.daemon.warehouses.postgresql.sql_compiler import text_of
from backfilld.daemon.warehouses.sql.backend_interface import Row, require_dates, require_distinct_names
from backfilld.daemon.warehouses.sql.date_predicates import as_list
from backfilld.daemon.warehouses.sql.evidence_queries import Query


class Postgresql:
    """The backend over a PostgreSQL database. Safe to call from several threads."""

    def __init__(self, settings: PostgresqlSettings, hooks: QueryHooks) -> None:
        self._settings = settings
        self._hooks = hooks
        self._connections = Connections(self._url, limit=settings.connections, timeout=settings.query_timeout)

    def query(self, query: Query, *, purpose: Purpose) -> list[Row]:
        """The rows of the answer, within `warehouse.query_timeout` or not at all.

        Raises:
            QueryError: PostgreSQL refuses this query, or does not answer it in time.
            WarehouseError: PostgreSQL cannot be reached, or refuses the login.
        """
        with self.connection() as connection:
            self._hooks.on_query(purpose, 0)
            return _rows(connection, text_of(query), _params(query))

    def check(self, query: Query) -> None:
        """Check the query by its plan.

        Raises:
            QueryError: PostgreSQL refuses this query.
            WarehouseError: PostgreSQL cannot be reached, or refuses the login.
        """
        with self.connection() as connection:
            _rows(connection, f"EXPLAIN {text_of(query)}", _params(query))

    def metadata(self, text: str, params: Mapping[str, Any]) -> list[Row]:
        """The rows of a query of the catalog's tables, which counts as no query of data.

        Raises:
            QueryError: it is refused.
            WarehouseError: PostgreSQL cannot be reached, or refuses the login.
        """
        with self.connection() as connection:
            return _rows(connection, text, params)

    def estimate_bytes(self, query: Query) -> int:
        """0: PostgreSQL bills nothing."""
        del query
        return 0

    def close(self) -> None:
        """Close the idle connections. Idempotent."""
        self._connections.close()

    @contextlib.contextmanager
    def connection(self) -> Iterator[Connection]:
        """A connection in a read-only transaction; its errors are counted, and translated.

        Raises:
            QueryError: PostgreSQL refuses a query.
            WarehouseError: PostgreSQL cannot be reached, or refuses the login.
        """
        try:
            with self._connections.transaction() as connection:
                yield connection
        except psycopg.Error as error:
            self._hooks.on_error()
            raise translate_error(error, self._settings.query_timeout) from error
        except WarehouseError:
            self._hooks.on_error()
            raise

    def _url(self) -> str:
        name = self._settings.url_env
        if name is None:
            return self._settings.url or ""
        if not (url := os.environ.get(name)):
            raise WarehouseError(
                f"warehouse.url_env names {name}, which is not set; set that variable to the URL"
            )
        return url


def _rows(connection: Connection, text: str, params: Mapping[str, Any]) -> list[Row]:
    with connection.cursor(row_factory=dict_row) as cursor:
        # The text is the product's own or the pipeline file's; values are parameters.
        cursor.execute(text.encode(), params)
        require_distinct_names([column.name for column in cursor.description or ()])
        for column in cursor.description or ():
            if column.name == "date" and (kind := adapters.types.get(column.type_code)):
                require_dates(kind.name)
        return [{name: _plain(value) for name, value in row.items()} for row in cursor.fetchall()]


def _params(query: Query) -> dict[str, Any]:
    return {name: as_list(value) for name, value in query.params.items()}


def _plain(value: Any) -> Any:
    """A whole NUMERIC as an integer: SUM of a BIGINT is one."""
    if isinstance(value, Decimal) and value.is_finite() and value == value.to_integral_value():
        return int(value)
    return value
