"""The files of a date that has rows in no file that is read: they explain why it looks empty."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

from backfilld.daemon.warehouses.adapter import Partition
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
    for part in partitions:
        with suppress(OSError):  # a job replaces it at this moment
            if path := _unread_file(root.joinpath(*part.table.split(".")), part):
                unread[part] = f"files such as {path} are not read; {REMEDY}"
    return unread


def _unread_file(directory: Path, partition: Partition) -> str | None:
    """The first file of a date, or of a table without any date, where no file is read; else None."""
    if is_delta(directory) or is_iceberg(directory):
        return None
    layout = read_layout(directory, partition.column)
    if partition.date in layout.dates:
        return unread_file(layout.dates[partition.date])
    if layout.dates or layout.undated_files or layout.undated_directories:
        return None
    return unread_file([os.fspath(directory)])
