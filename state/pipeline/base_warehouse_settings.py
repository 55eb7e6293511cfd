"""The `[warehouse]` table of the pipeline file: what every kind of warehouse has."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from backfilld.state.pipeline.field_types import Duration
from backfilld.state.pipeline.strict_model import StrictModel

DEFAULT_QUOTA_TIMEZONE = "America/Los_Angeles"
"""BigQuery's daily quotas begin anew at midnight Pacific time (its quota documentation)."""

SqlKind = Literal["condition", "measure", "query"]
"""What SQL of the pipeline file is: a condition on a row, an aggregate over rows, or a whole query."""


class WarehouseSettings(StrictModel):
    """Settings that every kind of warehouse has; an adapter adds its own in a subclass."""

    has_partitions: ClassVar[bool] = False
    """Whether this kind of warehouse reports that the partition of a date exists."""

    kind: str
    """The kind of warehouse, such as `bigquery`, `duckdb`, `lake` or `postgresql`."""
    query_timeout: Duration = 120.0
    """The time limit of a query."""
    daily_bytes: int | None = Field(default=None, gt=0)
    """Bytes that may be billed per quota day, in all; without it backfilld sets no limit."""

    def place_problem(self, directory: Path) -> str:
        """Why the warehouse is not on this machine, where it should be; else empty.

        `directory` is that of the pipeline file. A warehouse elsewhere shows it by a query.
        """
        del directory
        return ""

    def sql_problem(self, text: str) -> str:
        """Why SQL of the file cannot be used on this warehouse; empty where only a query can show it."""
        del text
        return ""

    def syntax_problem(self, text: str, kind: SqlKind) -> str:
        """Why a text of the file is not what it has to be; empty where only a query can show it."""
        del text, kind
        return ""

    def table_problem(self, table: str, date_column: str) -> str:
        """Why this kind of warehouse has no such output table, with its date column; else empty."""
        del date_column
        return "this kind of warehouse has no date-sharded tables; name one table" if "*" in table else ""
