"""When the partitions of BigQuery tables were written, and which exist, by `INFORMATION_SCHEMA.PARTITIONS`.

Written from Google's documentation, not run against BigQuery: the emulator of the tests has the view, but one
time for all partitions of a table, which a write of equal rows does not change. One query for each dataset,
billed like a query that reads one table: 10 MB at the least. Google does not answer it from its cache.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

from backfilld.daemon.warehouses.adapter import Partition, Purpose, QueryError
from backfilld.daemon.warehouses.bigquery.backend import BigQuery
from backfilld.daemon.warehouses.bigquery.table_metadata import BigQueryCatalog
from backfilld.daemon.warehouses.sql.backend_interface import Row
from backfilld.daemon.warehouses.sql.evidence_queries import Query, Select, Statement
from backfilld.daemon.warehouses.sql.fragment_embedding import user_sql

log = logging.getLogger(__name__)

STREAMED = ("__UNPARTITIONED__", "__STREAMING_UNPARTITIONED__")
"""Partition ids of rows in the streaming buffer, whose partitions are not known yet."""
_PARTITIONS = (
    "SELECT table_name, partition_id, last_modified_time, total_rows, total_logical_bytes"
    " FROM {dataset}.INFORMATION_SCHEMA.PARTITIONS"
    " WHERE table_name IN UNNEST(@tables) AND partition_id IN UNNEST(@partitions)"
)
NO_PARTITION = "no partition"
"""The stamp of a date for which the table has no partition."""


class BigQueryStamps:
    """The write stamps of tables that are partitioned by day on their date column, and not streamed into."""

    def __init__(self, backend: BigQuery, catalog: BigQueryCatalog, project: str) -> None:
        self._backend = backend
        self._catalog = catalog
        self._project = project

    def read(self, partitions: Collection[Partition], *, purpose: Purpose) -> Mapping[Partition, str]:
        """The last change, rows and bytes of each partition that BigQuery reports.

        Raises:
            WarehouseError: nothing can be queried now.
        """
        tables = {(partition.table, partition.column) for partition in partitions}
        daily = {table for table in sorted(tables) if self._is_daily(*table)}
        by_dataset: dict[str, list[Partition]] = defaultdict(list)
        for partition in partitions:
            if (partition.table, partition.column) in daily:
                by_dataset[partition.table.rpartition(".")[0]].append(partition)
        stamps: dict[Partition, str] = {}
        for dataset, wanted in by_dataset.items():
            try:
                rows = self._backend.query(partitions_query(self._project, dataset, wanted), purpose=purpose)
            except QueryError as error:
                log.warning("write stamps of %s cannot be read: %s", dataset, error)
            else:
                stamps |= stamps_of(rows, wanted)
        return stamps

    def read_unbilled(
        self, partitions: Collection[Partition], *, purpose: Purpose
    ) -> Mapping[Partition, str]:
        """None: each query of the view is billed."""
        del partitions, purpose
        return {}

    def existing(self, partitions: Collection[Partition], *, purpose: Purpose) -> Mapping[Partition, bool]:
        """Whether BigQuery reports each partition.

        Raises:
            WarehouseError: nothing can be queried now.
        """
        stamps = self.read(partitions, purpose=purpose)
        return {partition: stamp != NO_PARTITION for partition, stamp in stamps.items()}

    def _is_daily(self, table: str, column: str) -> bool:
        try:
            return self._catalog.is_partitioned_by_day(table, column)
        except QueryError as error:
            log.warning("the partitions of %s cannot be read: %s", table, error)
            return False


def partitions_query(project: str, dataset: str, partitions: Iterable[Partition]) -> Query:
    """The query of one dataset, for all tables and dates that are wanted of it."""
    wanted = list(partitions)
    path = dataset if "." in dataset else f"{project}.{dataset}"
    quoted = ".".join(f"`{part}`" for part in path.split("."))
    text = _PARTITIONS.format(dataset=quoted)
    tables = tuple(sorted({_name(partition.table) for partition in wanted}))
    ids = tuple(sorted({_id(partition) for partition in wanted}))
    select = Select(statement=Statement(user_sql(text)))
    return Query(selects=(select,), params={"tables": tables, "partitions": (*ids, *STREAMED)})


def stamps_of(rows: Iterable[Row], wanted: Iterable[Partition]) -> dict[Partition, str]:
    """The stamps by the rows of the view; none of a table with rows in its streaming buffer."""
    known = {
        (row["table_name"], row["partition_id"]): (
            f"{row['last_modified_time']} {row['total_rows']} {row['total_logical_bytes']}"
        )
        for row in rows
    }
    streamed = {table for table, partition_id in known if partition_id in STREAMED}
    return {
        partition: known.get((_name(partition.table), _id(partition)), NO_PARTITION)
        for partition in wanted
        if _name(partition.table) not in streamed
    }


def _name(table: str) -> str:
    return table.rpartition(".")[2]


def _id(partition: Partition) -> str:
    return f"{partition.date:%Y%m%d}"
