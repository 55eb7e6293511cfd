"""Files without field ids, which an import of plain Parquet files leaves in an Iceberg table."""

from __future__ import annotations

from collections.abc import Collection

import duckdb

from backfilld.daemon.warehouses.adapter import QueryError

_WITHOUT = (
    "SELECT file_name FROM parquet_schema($files) GROUP BY file_name HAVING count(field_id) = 0 LIMIT 1"
)


def require_field_ids(files: Collection[str]) -> None:
    """Refuse files without field ids: read by these, all their columns would be NULL.

    Raises:
        QueryError: a file has none.
        duckdb.Error: a file cannot be read.
    """
    if not files:
        return
    with duckdb.connect() as connection:
        found = connection.execute(_WITHOUT, {"files": [*files]}).fetchone()
    if found:
        message = (
            f"{found[0]} has no field ids, without which a renamed column is not known; compact the table"
        )
        raise QueryError(message, file_scoped=True, permanent=True)
