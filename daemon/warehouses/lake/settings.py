"""The settings of a lake."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from backfilld.daemon.warehouses.sql.settings import SqlWarehouseSettings

Dialect = Literal["duckdb", "bigquery"]


class LakeSettings(SqlWarehouseSettings):
    """A directory of Parquet partitions."""

    has_partitions: ClassVar[bool] = True
    sql_dialect: ClassVar[str] = "duckdb"

    path: str = Field(min_length=1)
    """The lake's directory, relative to the pipeline file."""
    dialect: Dialect = "duckdb"
    """The dialect of the SQL in this file. `bigquery` is carried to DuckDB's where that is exact, and refused
    otherwise."""

    @property
    def file_dialect(self) -> str:
        """The dialect of the SQL in the pipeline file."""
        return self.dialect

    def place_problem(self, directory: Path) -> str:
        """Why there is no lake; empty where there is its directory."""
        root = directory / self.path
        return "" if os.path.isdir(root) else missing_directory(root)

    def sql_problem(self, text: str) -> str:
        """Why SQL of the file is not carried to the lake; empty where it is, and for the lake's own SQL."""
        if self.dialect != "bigquery":
            return ""
        from backfilld.daemon.warehouses.adapter import QueryError  # noqa: PLC0415  sqlglot takes long to import
        from backfilld.daemon.warehouses.lake.bigquery_transpiler.queries import REMEDY, to_duckdb  # noqa: PLC0415

        try:
            to_duckdb(text)
        except QueryError as error:
            return f"{error}; {REMEDY}"
        return ""


def missing_directory(root: Path) -> str:
    """What is wrong where a lake has no directory, with the remedy."""
    remedy = "make the directory, mount its disk, or correct warehouse.path"
    return f"there is no lake at {root}, or it may not be reached; {remedy}"
