"""The settings of a DuckDB file."""

from __future__ import annotations

from pydantic import Field

from backfilld.state.pipeline.warehouse_settings import WarehouseSettings


class DuckDBSettings(WarehouseSettings):
    """A DuckDB file, whose schemas are the datasets."""

    file: str = Field(min_length=1)
    """The file, relative to the pipeline file."""
