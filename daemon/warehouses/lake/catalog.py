"""The tables of a lake: its directories, and the columns of their newest files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import duckdb

from backfilld.daemon.warehouses.adapter import PreflightCheck, QueryError, TableInfo, WarehouseError
from backfilld.daemon.warehouses.lake.backend import all_parquet, missing_lake


class LakeCatalog:
    """The catalog of a lake directory. A table without a file does not exist yet: its job creates it."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def describe_connection(self) -> str:
        """The lake's directory.

        Raises:
            WarehouseError: there is none, or it cannot be read.
        """
        if not os.path.isdir(self._root):
            raise missing_lake(self._root)
        if not os.access(self._root, os.R_OK | os.X_OK):
            raise WarehouseError(f"the lake {self._root} cannot be read; check its owner and rights")
        return f"lake {self._root}"

    def describe(self, table: str) -> TableInfo | None:
        """The columns of the table's newest file and of its directories' names; None without a file.

        Raises:
            QueryError: the newest file cannot be read.
        """
        directory = self._root.joinpath(*table.split("."))
        newest = max(_files(directory), default=None)
        if newest is None:
            return None
        modified_at, path = newest
        keys = [part.partition("=")[0] for part in Path(path).relative_to(directory).parts if "=" in part]
        try:
            with duckdb.connect() as connection:
                columns = connection.read_parquet(path).columns
        except duckdb.Error as error:
            raise QueryError(f"{path}: {error}") from error
        return TableInfo(
            columns=frozenset(name.lower() for name in (*columns, *keys)),
            partition_column=keys[-1].lower() if keys else None,
            modified_at=modified_at,
        )

    def preflight_checks(self) -> tuple[PreflightCheck, ...]:
        """None: the files of a lake have no options."""
        return ()


def _files(directory: Path) -> Iterator[tuple[float, str]]:
    """The finished files below a directory, with the time of their last change."""
    for path in all_parquet(directory):
        with suppress(FileNotFoundError):  # a job has just replaced it
            yield os.stat(path).st_mtime, path
