"""Reads the current snapshot of an Iceberg table from its directory, without a catalog."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from backfilld.daemon.warehouses.adapter import QueryError
from backfilld.daemon.warehouses.lake.iceberg.current_metadata import MetadataFile, current

if TYPE_CHECKING:
    from backfilld.daemon.warehouses.lake.iceberg.table import IcebergTable

_TRIES = 3
"""A manifest may vanish while it is read, when a commit has replaced its snapshot and expired it."""

_tables: dict[Path, tuple[tuple[MetadataFile, Sequence[MetadataFile]], IcebergTable]] = {}
"""The last known snapshot of each table, with the metadata files that it was read by."""


def read(directory: Path) -> IcebergTable:
    """The current snapshot of a table.

    Raises:
        QueryError: the library is not installed, the metadata cannot be read or leaves the current snapshot
            open, or the table has files that are not read.
    """
    if find_spec("pyiceberg") is None:
        raise QueryError(
            f"{directory} is an Iceberg table; install backfilld[iceberg] to read it", permanent=True
        )
    for tries_left in reversed(range(_TRIES)):
        try:
            return _read(directory)
        except FileNotFoundError as error:
            if not tries_left:
                raise _unreadable(directory, error) from error
        except OSError as error:
            raise _unreadable(directory, error) from error
    raise AssertionError


def _read(directory: Path) -> IcebergTable:
    from backfilld.daemon.warehouses.lake.iceberg.loader import (  # noqa: PLC0415  an optional extra
        DamagedError,
        load,
    )

    found = current(directory)
    known = _tables.get(directory)
    if known and known[0] == found:
        return known[1]
    try:
        table = load(directory, *found, known=known and known[1])
    except DamagedError as error:
        raise _unreadable(directory, error) from error
    except QueryError as error:
        raise QueryError(f"the Iceberg table {directory} is not read: {error}", permanent=True) from error
    _tables[directory] = found, table
    return table


def _unreadable(directory: Path, error: Exception) -> QueryError:
    return QueryError(f"the metadata of the Iceberg table {directory} cannot be read: {error}")
