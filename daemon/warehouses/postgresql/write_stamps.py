"""When the rows of a date were written, by the transaction that wrote each of them (`xmin`).

A stamp is the number of rows and the sum of a hash of their `xmin`. Every committed INSERT, UPDATE and DELETE
of rows of the date changes it, also one that writes equal rows; VACUUM, ANALYZE and locks do not. ON CONFLICT
DO NOTHING and a MERGE without a change write nothing, and the stamp stays. A restored dump has other stamps.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Collection, Mapping

from sqlglot import exp

from backfilld.daemon.warehouses.adapter import Partition, Purpose, QueryError, by_column
from backfilld.daemon.warehouses.postgresql.backend import Postgresql
from backfilld.daemon.warehouses.postgresql.daily_partitions import existing_partitions
from backfilld.daemon.warehouses.postgresql.pg_catalog_queries import TABLES, read_relation
from backfilld.daemon.warehouses.sql.date_predicates import DateColumn, DateFilter
from backfilld.daemon.warehouses.sql.evidence_queries import (
    PartitionFilter,
    Query,
    Select,
    Statement,
    table_of,
)

log = logging.getLogger(__name__)

NO_ROWS = "no rows"
"""The stamp of a date without rows."""


class PostgresqlStamps:
    """The write stamps of plain and partitioned tables; not of views and foreign tables."""

    def __init__(self, backend: Postgresql) -> None:
        self._backend = backend

    def read(self, partitions: Collection[Partition], *, purpose: Purpose) -> Mapping[Partition, str]:
        """The stamp of each partition of a table, by one query for each table.

        Raises:
            WarehouseError: nothing can be queried now.
        """
        stamps: dict[Partition, str] = {}
        for (table, column), same in by_column(partitions).items():
            days = tuple(sorted({partition.date for partition in same}))
            try:
                written = self._written(table, column, days, purpose)
            except QueryError as error:
                log.warning("write stamps of %s cannot be read: %s", table, error)
            else:
                stamps |= {Partition(table, column, day): stamp for day, stamp in written.items()}
        return stamps

    read_unbilled = read

    def existing(self, partitions: Collection[Partition], *, purpose: Purpose) -> Mapping[Partition, bool]:
        """Whether each date has a partition of its own, by the bounds in the catalog.

        Raises:
            QueryError: the catalog may not be read.
            WarehouseError: nothing can be queried now.
        """
        del purpose
        return {
            Partition(table, column, day): exists
            for (table, column), same in by_column(partitions).items()
            for day, exists in existing_partitions(
                self._backend, table, column, {partition.date for partition in same}
            ).items()
        }

    def _written(
        self, table: str, column: str, days: tuple[dt.date, ...], purpose: Purpose
    ) -> Mapping[dt.date, str]:
        relation = read_relation(self._backend, table)
        if relation is None or relation.kind not in TABLES or relation.columns.get(column) != "date":
            return {}
        rows = self._backend.query(stamps_query(table, column, days), purpose=purpose)
        return {**dict.fromkeys(days, NO_ROWS), **{row["date"]: row["stamp"] for row in rows}}


def stamps_query(table: str, column: str, days: tuple[dt.date, ...]) -> Query:
    """The query of one table, for dates in order."""
    filters = DateFilter()
    dates = filters.add(days, DateColumn(column))
    transaction = exp.func("HASHTEXTEXTENDED", exp.cast(exp.column("xmin"), "TEXT"), exp.Literal.number(0))
    stamp = exp.func("CONCAT", exp.Count(this=exp.Star()), exp.Literal.string(" "), exp.Sum(this=transaction))
    tree = (
        exp.select(exp.alias_(dates.column.date, "date"), exp.alias_(stamp, "stamp"))
        .from_(table_of(table))
        .where(dates.predicate)
        .group_by(exp.Literal.number(1))
    )
    select = Select(
        statement=Statement(tree), partitions=(PartitionFilter(table=table, column=column, dates=days),)
    )
    return Query(selects=(select,), params=filters.params)
