"""The tables and views of a DuckDB file."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from functools import partial

from backfilld.daemon.preflight.findings import Finding, failed, passed
from backfilld.daemon.warehouses.adapter import PreflightCheck, PreflightScope, TableInfo
from backfilld.daemon.warehouses.duckdb.snapshot import Snapshots
from backfilld.daemon.warehouses.sql.duckdb_session import time_type

_COLUMNS = """
SELECT lower(column_name), data_type FROM duckdb_columns()
WHERE $table IN (schema_name || '.' || table_name, database_name || '.' || schema_name || '.' || table_name)
"""


class DuckDBCatalog:
    """The catalog of the file that is copied."""

    def __init__(self, snapshots: Snapshots) -> None:
        self._snapshots = snapshots

    def describe_connection(self) -> str:
        """The file.

        Raises:
            WarehouseError: it cannot be read now.
        """
        self._snapshots.cursor().close()
        return f"file {self._snapshots.path}"

    def describe(self, table: str) -> TableInfo | None:
        """The columns of a table or a view; None if it does not exist.

        Raises:
            WarehouseError: the file cannot be read now.
        """
        with self._snapshots.cursor() as cursor:
            columns = dict(cursor.execute(_COLUMNS, {"table": table}).fetchall())
        times = {name: times for name, kind in columns.items() if (times := time_type(kind))}
        return TableInfo(columns=frozenset(columns), time_columns=times) if columns else None

    def preflight_checks(self) -> tuple[PreflightCheck, ...]:
        """Room for the copy."""
        return (
            PreflightCheck(
                name="copy", title="room for a copy", run=partial(_room, snapshots=self._snapshots)
            ),
        )


def _room(scope: PreflightScope, *, snapshots: Snapshots) -> Iterator[Finding]:
    """Each change of the file is copied to the directory of temporary files."""
    del scope
    folder = tempfile.gettempdir()
    size, free = snapshots.path.stat().st_size, shutil.disk_usage(folder).free
    line = f"a copy of {size / 1e6:,.0f} MB, of {free / 1e6:,.0f} MB free in {folder}"
    if 2 * size > free:  # an old copy may be in use while a new one is made
        yield failed(line, "free space, or name another directory by TMPDIR")
    else:
        yield passed(line)
