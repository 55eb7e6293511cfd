"""The files of a date that has rows in no file that is read: they explain why it looks empty."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from backfilld.daemon.warehouses.adapter import Partition, by_column
from backfilld.daemon.warehouses.lake.delta import is_delta
from backfilld.daemon.warehouses.lake.finished_files import unread_file
from backfilld.daemon.warehouses.lake.iceberg.current_metadata import is_iceberg
from backfilld.daemon.warehouses.lake.layout import read_layout

REMEDY = "write Parquet files whose names end in .parquet"


def unread_files(root: Path) -> partial[Mapping[Partition, str]]:
    """A function that names what of partitions without rows is not read, each as a sentence."""
    return partial(_unread_files, root)


def _unread_files(root: Path, partitions: Collection[Partition]) -> Mapping[Partition, str]:
    unread: dict[Partition, str] = {}
    for (table, column), same in by_column(partitions).items():
        with suppress(OSError):  # a job replaces it at this moment
            found = _of_table(root.joinpath(*table.split(".")), column, same)
            unread |= {part: f"files such as {path} are not read; {REMEDY}" for part, path in found.items()}
    return unread


def _of_table(directory: Path, column: str, partitions: Sequence[Partition]) -> Mapping[Partition, str]:
    """The first file of each date, or of a table without any date, where no file is read."""
    if is_delta(directory) or is_iceberg(directory):
        return {}
    layout = read_layout(directory, column)
    if not (layout.dates or layout.undated_files or layout.undated_directories):
        path = unread_file([os.fspath(directory)])
        return dict.fromkeys(partitions, path) if path else {}
    found: dict[Partition, str] = {}
    for part in partitions:
        with suppress(OSError):
            if path := unread_file(layout.dates.get(part.date, ())):
                found[part] = path
    return found
