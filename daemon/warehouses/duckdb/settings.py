"""The settings of a DuckDB file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from backfilld.daemon.warehouses.sql.settings import SqlWarehouseSettings


class DuckDBSettings(SqlWarehouseSettings):
    """A DuckDB file, whose schemas are the datasets."""

    sql_dialect: ClassVar[str] = "duckdb"

    file: str = Field(min_length=1)
    """The file, relative to the pipeline file."""

    def place_problem(self, directory: Path) -> str:
        """Why there is no warehouse; empty where there is its file."""
        path = directory / self.file
        return "" if os.path.exists(path) else missing_file(path)


CREATE = "create it before the first date, by a run of a job by hand or by duckdb.connect in Python"
"""The remedy where there is no file."""


def missing_file(path: Path) -> str:
    """What is wrong where there is no file, with the remedy."""
    return f"{path} does not exist; {CREATE}; or correct warehouse.file"
