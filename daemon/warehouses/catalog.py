"""What tables a warehouse has and how they are kept, without reading their rows: for preflight."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from backfilld.daemon.warehouses.backend import QueryError
from backfilld.state.formatting import first_line


@dataclass(frozen=True, slots=True, kw_only=True)
class TableInfo:
    """One table. Names of columns are in lower case, as no warehouse tells them apart by case."""

    columns: frozenset[str]
    partition_column: str | None = None
    """None for a table without partitions, or with ones by time of loading."""
    require_filter: bool = False
    """Whether a query that names no partition is refused."""
    expiration_seconds: float | None = None
    """How long after its date a partition vanishes; None: never."""
    modified_at: float | None = None
    """Epoch seconds of the last change, where that is known."""


class Catalog(Protocol):
    """The tables of a pipeline's warehouse."""

    def describe_connection(self) -> str:
        """What was reached, in a few words.

        Raises:
            WarehouseError: it cannot be reached, or not by us.
        """

    def location(self, table: str) -> str | None:
        """Where the dataset of a table lies; empty where that means nothing, None without such a dataset.

        Raises:
            Refusal: the dataset may not be looked at.
            WarehouseError: nothing can be asked now.
        """

    def describe(self, table: str) -> TableInfo | None:
        """The table as it is kept; None without such a table.

        Raises:
            Refusal: the table may not be looked at.
            WarehouseError: nothing can be asked now.
        """

    def close(self) -> None:
        """Let go of connections."""


def columns_in(predicate: str) -> frozenset[str]:
    """The columns that a SQL predicate of BigQuery's dialect names, in lower case.

    Raises:
        Refusal: it is not SQL.
    """
    try:
        tree = sqlglot.parse_one(predicate, read="bigquery")
    except SqlglotError as error:
        raise QueryError(first_line(str(error))) from error
    # Of a field within a column, `a.b`, only the column `a` is one of the table's.
    return frozenset(column.parts[0].name.lower() for column in tree.find_all(exp.Column))
