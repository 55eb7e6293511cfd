"""The settings of a DuckDB file."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from backfilld.daemon.warehouses.sql.settings import SqlWarehouseSettings


class DuckDBSettings(SqlWarehouseSettings):
    """A DuckDB file, whose schemas are the datasets."""

    sql_dialect: ClassVar[str] = "duckdb"

    file: str = Field(min_length=1)
    """The file, relative to the pipeline file."""
