"""DuckDB's database in memory by which a lake is read: it opens files below its directory, and no others."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import duckdb

from backfilld.daemon.warehouses.sql.duckdb_session import SETTINGS, restrict

_SETTINGS: Mapping[str, str | bool | int] = {
    **SETTINGS,
    # A file that was replaced must not be answered from its predecessor's pages.
    "enable_external_file_cache": False,
}


def connected(root: Path) -> duckdb.DuckDBPyConnection:
    """A database in memory that may read below `root` and nowhere else."""
    connection = duckdb.connect(":memory:", config=dict(_SETTINGS))
    connection.execute("SET allowed_directories = [$root]", {"root": str(root)})
    restrict(connection)
    return connection
