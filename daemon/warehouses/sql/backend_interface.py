"""What a warehouse that answers SQL implements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from backfilld.daemon.warehouses.adapter import Purpose, QueryError
from backfilld.daemon.warehouses.sql.evidence_queries import Query

Row = Mapping[str, Any]
"""One row of an answer by column, with values as Python's dates, integers, texts and lists."""


class SqlBackend(Protocol):
    """A client of a warehouse that answers SQL. Called from several threads at once."""

    def query(self, query: Query, *, purpose: Purpose) -> list[Row]:
        """The rows of the answer.

        Raises:
            QueryError: this query cannot be answered.
            WarehouseError: no query can be answered now.
        """

    def estimate_bytes(self, query: Query) -> int:
        """About how many bytes the query would be billed.

        Raises:
            QueryError: this query cannot be answered.
            WarehouseError: no query can be answered now.
        """

    def check(self, query: Query) -> None:
        """Check that the query can be answered, without reading any rows.

        Raises:
            QueryError: this query cannot be answered.
            WarehouseError: no query can be answered now.
        """

    def close(self) -> None:
        """Close all connections. Idempotent."""


def require_distinct_names(names: Sequence[str]) -> None:
    """Check the columns of an answer, of which a mapping would keep one of each name.

    Raises:
        QueryError: two have the same name.
    """
    if doubled := [name for name in names if names.count(name) > 1]:
        raise QueryError(f"it gives the column {doubled[0]} twice; name each column once", permanent=True)


def require_dates(kind: str) -> None:
    """Check the type of an answer's column `date`, by its name in the warehouse.

    A column of times compares with a DATE and equals none: its rows would read as absent.

    Raises:
        QueryError: its values have times.
    """
    if kind.upper().startswith(("TIMESTAMP", "DATETIME")):
        message = f"its dates must be of the type DATE, not {kind}; state date_timezone, or cast them"
        raise QueryError(message, permanent=True)
