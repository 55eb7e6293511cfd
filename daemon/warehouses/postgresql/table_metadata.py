"""The tables of a PostgreSQL database, by the server's own catalog."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, partial

from backfilld.daemon.warehouses.adapter import PreflightCheck, TableInfo, TimeType
from backfilld.daemon.warehouses.postgresql import preflight, row_security
from backfilld.daemon.warehouses.postgresql.backend import Postgresql
from backfilld.daemon.warehouses.postgresql.pg_catalog_queries import read_relation

_TIMES: Mapping[str, TimeType] = {
    "timestamp without time zone": "datetime",
    "timestamp with time zone": "timestamp",
}
"""The types of columns of times."""


class PostgresqlCatalog:
    """The catalog over the connections and limits of a backend."""

    def __init__(self, backend: Postgresql) -> None:
        self._backend = backend

    def describe_connection(self) -> str:
        """The database, the server and the user, once it has answered.

        Raises:
            WarehouseError: it cannot be reached, or not with this login.
        """
        with self._backend.connection() as connection:
            info = connection.info
            return f"database {info.dbname} on {info.host or 'this machine'} as {info.user}"

    def describe(self, table: str) -> TableInfo | None:
        """The table's columns and its partitions; None if it does not exist.

        Raises:
            QueryError: the table may not be read.
            WarehouseError: nothing can be queried now.
        """
        relation = read_relation(self._backend, table)
        if relation is None:
            return None
        column = relation.partition_column
        return TableInfo(
            columns=frozenset(name.lower() for name in relation.columns),
            time_columns={
                name.lower(): _TIMES[kind] for name, kind in relation.columns.items() if kind in _TIMES
            },
            partition_column=column.lower() if column else None,
        )

    def preflight_checks(self) -> tuple[PreflightCheck, ...]:
        """The spelling of columns, indexes on dates, and row-level security."""
        title = "row-level security"
        security = PreflightCheck(
            name="row_security", title=title, run=partial(row_security.check, backend=self._backend)
        )
        return (*preflight.checks(cache(partial(read_relation, self._backend))), security)
