"""What tables a BigQuery project has: metadata calls, which cost nothing and read no rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from google.api_core.exceptions import NotFound
from google.cloud import bigquery

from backfilld.daemon.google_errors import FAILURES
from backfilld.daemon.warehouses.adapter import WarehouseError
from backfilld.daemon.warehouses.backend import QueryError
from backfilld.daemon.warehouses.bigquery.backend import RETRY, BigQuery
from backfilld.daemon.warehouses.bigquery.errors import translate_error
from backfilld.daemon.warehouses.catalog import TableInfo

_Found = TypeVar("_Found")


class BigQueryCatalog(BigQuery):
    """The catalog over the same client, credentials and limits as the questions."""

    def describe_connection(self) -> str:
        """The project, once it has answered.

        Raises:
            WarehouseError: it cannot be reached, or not with these credentials.
        """
        try:
            self._found(
                lambda client: [*client.list_datasets(max_results=1, retry=RETRY, timeout=self._http_timeout)]
            )
        except QueryError as refusal:
            raise WarehouseError(f"project {self._source.project}: {refusal}") from refusal
        return f"project {self._source.project}"

    def location(self, table: str) -> str | None:
        """The location of the table's dataset; None without such a dataset.

        Raises:
            Refusal: the dataset may not be looked at.
            WarehouseError: nothing can be asked now.
        """

        def asked(client: bigquery.Client) -> bigquery.Dataset:
            reference = _reference(client, table)
            dataset = bigquery.DatasetReference(reference.project, reference.dataset_id)
            return client.get_dataset(dataset, retry=RETRY, timeout=self._http_timeout)

        found = self._found(asked)
        return str(found.location) if found else None

    def describe(self, table: str) -> TableInfo | None:
        """The table's columns, partitions and options; None without such a table.

        Raises:
            Refusal: the table may not be looked at.
            WarehouseError: nothing can be asked now.
        """
        found = self._found(
            lambda client: client.get_table(
                _reference(client, table), retry=RETRY, timeout=self._http_timeout
            )
        )
        return _info(found) if found else None

    def _found(self, ask: Callable[[bigquery.Client], _Found]) -> _Found | None:
        """What was asked for; None where there is no such thing."""
        try:
            with self._client() as client:
                return ask(client)
        except FAILURES as error:
            told = translate_error(error, self._meter.now())
            if isinstance(told, QueryError) and isinstance(error, NotFound):
                return None
            raise told from error


def _reference(client: bigquery.Client, table: str) -> bigquery.TableReference:
    return bigquery.TableReference.from_string(table, default_project=client.project)


def _info(table: bigquery.Table) -> TableInfo:
    by_time, by_range = table.time_partitioning, table.range_partitioning
    column = by_time.field if by_time else by_range.field if by_range else None
    milliseconds = by_time.expiration_ms if by_time else None
    return TableInfo(
        columns=frozenset(field.name.lower() for field in table.schema),
        partition_column=column.lower() if column else None,
        require_filter=bool(table.require_partition_filter),
        expiration_seconds=int(milliseconds) / 1000 if milliseconds else None,
        modified_at=table.modified.timestamp() if table.modified else None,
    )
