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
            unread |= _of_table(root.joinpath(*table.split(".")), column, same)
    return unread


def _of_table(directory: Path, column: str, partitions: Sequence[Partition]) -> Mapping[Partition, str]:
    """A sentence on the files of each date, or of the table, where no file is read for the date."""
    if is_delta(directory) or is_iceberg(directory):
        return {}
    layout = read_layout(directory, column)
    if not (layout.dates or layout.undated_files or layout.undated_directories):
        path = unread_file([os.fspath(directory)])
        return dict.fromkeys(partitions, _other_format(path)) if path else {}
    found: dict[Partition, str] = {}
    undated = min(layout.undated_files, default="") if layout.dates else ""
    for part in partitions:
        with suppress(OSError):
            if path := unread_file(layout.dates.get(part.date, ())):
                found[part] = _other_format(path)
            elif undated and part.date not in layout.dates:
                found[part] = f"files outside of all dates, such as {undated}, are not read; {_move(column)}"
    return found


def _other_format(path: str) -> str:
    return f"files such as {path} are not read; {REMEDY}"


def _move(column: str) -> str:
    """What helps where files lie outside of the directories of dates."""
    return f"move each to the directory of its date, such as {column}=2024-03-01"
