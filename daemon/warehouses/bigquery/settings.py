"""The settings of a BigQuery warehouse."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from backfilld.daemon.warehouses.sql.settings import SqlWarehouseSettings

SUFFIX = "_TABLE_SUFFIX"
"""The column by which BigQuery distinguishes the tables of `events_*`."""


class BigQuerySettings(SqlWarehouseSettings):
    """A project of BigQuery."""

    has_partitions: ClassVar[bool] = True
    sql_dialect: ClassVar[str] = "bigquery"

    project: str = Field(min_length=1)
    """The BigQuery project."""
    location: str | None = None
    """The location of its datasets, such as `us-west2`: all of them in one place."""
    credentials_file: str | None = None
    """A service account's key; without it, the environment's own credentials."""
    endpoint: str | None = None
    """Another host for the BigQuery API, such as an emulator's."""
    bytes_per_table: int = Field(default=1 << 30, gt=0)
    """Bytes that a query may be billed for each table it names (`maximum_bytes_billed`); it is refused where
    it would be billed more."""

    def table_problem(self, table: str, date_column: str) -> str:
        """A table for each date goes with its suffix as the date column, and no other table does."""
        if table.endswith("*") is (date_column.upper() == SUFFIX):
            return ""
        return f'date_column = "{SUFFIX}" belongs to tables such as dataset.events_*, and to no other'
