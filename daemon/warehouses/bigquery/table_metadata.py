"""The tables of a BigQuery project: metadata calls, which cost nothing and read no rows."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from google.api_core.exceptions import NotFound
from google.cloud import bigquery

from backfilld.daemon.google_error_causes import FAILURES
from backfilld.daemon.warehouses.adapter import (
    PreflightCheck,
    QueryError,
    TableInfo,
    TimeType,
    WarehouseError,
)
from backfilld.daemon.warehouses.bigquery import preflight
from backfilld.daemon.warehouses.bigquery.backend import RETRY, BigQuery
from backfilld.daemon.warehouses.bigquery.errors import translate_error
from backfilld.daemon.warehouses.bigquery.settings import SUFFIX, BigQuerySettings

_Answer = TypeVar("_Answer")

BY_LOADING = {"_partitiondate": "date", "_partitiontime": "timestamp"}
"""The columns of a table that is partitioned by the time of loading, which its schema does not list."""
_TIMES: Mapping[str, TimeType] = {"datetime": "datetime", "timestamp": "timestamp"}
"""The types of columns of times."""


class BigQueryCatalog:
    """The catalog over the clients, credentials and limits of a backend."""

    def __init__(self, backend: BigQuery, settings: BigQuerySettings) -> None:
        self._backend = backend
        self._settings = settings

    def describe_connection(self) -> str:
        """The project, once it has answered.

        Raises:
            WarehouseError: it cannot be reached, or not with these credentials.
        """
        timeout = self._backend.http_timeout
        try:
            self._call(lambda client: [*client.list_datasets(max_results=1, retry=RETRY, timeout=timeout)])
        except QueryError as error:
            raise WarehouseError(f"project {self._settings.project}: {error}") from error
        return f"project {self._settings.project}"

    def location(self, table: str) -> str | None:
        """The location of the table's dataset; None if the dataset does not exist.

        Raises:
            QueryError: the dataset's metadata may not be read.
            WarehouseError: nothing can be queried now.
        """

        def dataset(client: bigquery.Client) -> bigquery.Dataset:
            reference = _reference(client, table)
            name = bigquery.DatasetReference(reference.project, reference.dataset_id)
            return client.get_dataset(name, retry=RETRY, timeout=self._backend.http_timeout)

        found = self._call(dataset)
        return str(found.location) if found else None

    def describe(self, table: str) -> TableInfo | None:
        """The table's columns, partitions and options; None if it does not exist.

        Of tables for each date it is the latest one.

        Raises:
            QueryError: the table's metadata may not be read.
            WarehouseError: nothing can be queried now.
        """
        if table.endswith("*"):
            latest = self._latest(table)
            info = self.describe(latest) if latest else None
            return replace(info, columns=info.columns | {SUFFIX.lower()}) if info else None
        timeout = self._backend.http_timeout
        found = self._call(lambda c: c.get_table(_reference(c, table), retry=RETRY, timeout=timeout))
        return _info(found) if found else None

    def _latest(self, pattern: str) -> str | None:
        """The table of the latest date whose name begins like a pattern that ends with `*`."""
        dataset, prefix = pattern.rstrip("*").rsplit(".", 1)

        def names(client: bigquery.Client) -> list[str]:
            reference = _reference(client, pattern)
            of = bigquery.DatasetReference(reference.project, reference.dataset_id)
            tables = client.list_tables(of, retry=RETRY, timeout=self._backend.http_timeout, page_size=1000)
            return [table.table_id for table in tables]

        is_dated = re.compile(rf"{re.escape(prefix)}\d{{8}}")
        dated = [name for name in self._call(names) or () if is_dated.fullmatch(name)]
        return f"{dataset}.{max(dated)}" if dated else None

    def is_partitioned_by_day(self, table: str, column: str) -> bool:
        """Whether each partition of a table holds one date of a column; not while rows are streamed into it.

        Raises:
            QueryError: the table's metadata may not be read.
            WarehouseError: nothing can be queried now.
        """
        timeout = self._backend.http_timeout
        found = self._call(lambda c: c.get_table(_reference(c, table), retry=RETRY, timeout=timeout))
        if found is None or found.table_type != "TABLE" or found.streaming_buffer is not None:
            return False
        by_time = found.time_partitioning
        if by_time is None or by_time.type_ != bigquery.TimePartitioningType.DAY:
            return False
        return column.lower() in ([by_time.field.lower()] if by_time.field else BY_LOADING)

    def preflight_checks(self) -> Sequence[PreflightCheck]:
        """Location, datasets, and the options of partitions."""
        return preflight.checks(self.location)

    def _call(self, call: Callable[[bigquery.Client], _Answer]) -> _Answer | None:
        """The answer of a call; None where the thing does not exist."""
        try:
            with self._backend.client() as client:
                return call(client)
        except FAILURES as error:
            translated = translate_error(error, self._backend.now())
            if isinstance(translated, QueryError) and isinstance(error, NotFound):
                return None
            raise translated from error


def _reference(client: bigquery.Client, table: str) -> bigquery.TableReference:
    return bigquery.TableReference.from_string(table, default_project=client.project)


def _info(table: bigquery.Table) -> TableInfo:
    by_time, by_range = table.time_partitioning, table.range_partitioning
    column = by_time.field if by_time else by_range.field if by_range else None
    milliseconds = by_time.expiration_ms if by_time else None
    types = {field.name.lower(): field.field_type.lower() for field in table.schema}
    if by_time and by_time.field is None:
        types |= BY_LOADING
    return TableInfo(
        columns=frozenset(types),
        time_columns={name: _TIMES[kind] for name, kind in types.items() if kind in _TIMES},
        partition_column=column.lower() if column else None,
        require_filter=bool(table.require_partition_filter),
        expiration_seconds=int(milliseconds) / 1000 if milliseconds else None,
        modified_at=table.modified.timestamp() if table.modified else None,
    )
