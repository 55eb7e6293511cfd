"""Where the files of a date lie in a table's directory.

The date is a directory's name, as `date=2024-03-01` or `date=20240301`, at any depth; or it is the
directories `year=2024/month=03/day=01`; or the table has no such directories, and its files have the column.
"""

from __future__ import annotations

import datetime as dt
import os
import time
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from backfilld.daemon.warehouses.adapter import QueryError
from backfilld.daemon.warehouses.lake import delta
from backfilld.daemon.warehouses.lake.date_names import date_of, date_or_none
from backfilld.daemon.warehouses.lake.finished_files import entries, finished_files, is_finished
from backfilld.daemon.warehouses.lake.iceberg.current_metadata import is_iceberg
from backfilld.daemon.warehouses.lake.iceberg.table_cache import read as read_iceberg
from backfilld.daemon.warehouses.lake.table_scan_model import TableFiles

PARTS = ("year", "month", "day")
"""Directories that name a date together."""
_SETTLED = 2_000_000_000
"""Nanoseconds after which a directory's time of change shows every later change."""


@dataclass(slots=True)
class Layout:
    """A table's directory: the directories of each date, and what names no date."""

    dates: dict[dt.date, list[str]] = field(default_factory=lambda: defaultdict(list))
    undated_files: list[str] = field(default_factory=list)
    undated_directories: list[str] = field(default_factory=list)
    """Directories of the date column whose value is no date."""
    is_flat: bool = True
    """Whether no directory lies between the table's and those of the dates."""


_layouts: dict[tuple[str, str], tuple[int, Layout]] = {}


def locate(directory: Path, column: str, dates: Collection[dt.date]) -> TableFiles:
    """The files of some dates, by the table's directory.

    Raises:
        QueryError: the layout is not understood, or two directories are the same date.
        OSError: a directory cannot be read.
    """
    if delta.is_delta(directory):
        return _of_delta(directory, column, dates)
    if is_iceberg(directory):
        return read_iceberg(directory).files(column, dates)
    require_readable(directory)
    layout = read_layout(directory, column)
    if layout.dates:
        return _of_directories(layout, column, dates)
    if layout.undated_directories:
        example = layout.undated_directories[0]
        remedy = f"remove it, and have the job write {column}=2024-03-01"
        raise QueryError(f"no directory names a date: {example}; {remedy}", permanent=True)
    return TableFiles(kind="column", files=layout.undated_files)


def require_readable(directory: Path) -> None:
    """Raise a QueryError for a directory in a table format that is not read."""
    if kind := foreign_format(directory):
        raise QueryError(
            f"{directory} is {kind} table, which a lake does not read; write Parquet, Delta or Iceberg",
            permanent=True,
        )


def foreign_format(directory: Path) -> str:
    """The table format, with its article, by which a directory is kept and that is not read; else empty."""
    if (directory / ".hoodie").is_dir():
        return "a Hudi"
    return ""


def read_layout(directory: Path, column: str) -> Layout:
    """The layout of a table's directory; empty where there is none."""
    key = (os.fspath(directory), column.lower())
    try:
        changed = directory.stat().st_mtime_ns
    except FileNotFoundError:
        return Layout()
    if (known := _layouts.get(key)) and known[0] == changed:
        return known[1]
    layout, now = Layout(), time.time_ns()
    _scan(os.fspath(directory), column.lower(), {}, layout)
    if layout.is_flat and not layout.undated_files and now - changed > _SETTLED:
        # All that can change is entries of the directory, which changes its time.
        _layouts[key] = changed, layout
    else:
        _layouts.pop(key, None)
    return layout


def _scan(directory: str, column: str, parts: Mapping[str, int], layout: Layout) -> None:
    for entry in entries(directory):
        key, _, value = entry.name.partition("=")
        if key.lower() == column and value:
            _record(layout, date_of(unquote(value)), entry.path)
        elif not entry.is_dir():
            layout.undated_files += [entry.path] if is_finished(entry) else []
        elif key.lower() in PARTS and value.isdigit():
            known = {**parts, key.lower(): int(value)}
            if len(known) == len(PARTS):
                _record(layout, date_or_none(*(known[part] for part in PARTS)), entry.path)
            else:
                layout.is_flat = False
                _scan(entry.path, column, known, layout)
        else:
            layout.is_flat = False
            _scan(entry.path, column, parts, layout)


def _record(layout: Layout, date: dt.date | None, path: str) -> None:
    if date is None:
        layout.undated_directories.append(path)
    else:
        layout.dates[date].append(path)


def is_doubled(directories: Sequence[str]) -> bool:
    """Whether directories of one date lie beside each other, so that it is unclear which one holds."""
    return len({os.path.dirname(path) for path in directories}) < len(directories)


def two_dates(directory: str, files: Collection[str], column: str) -> str:
    """The first file below the directory of a date in whose path a directory names another, as a sentence."""
    key = f"{os.sep}{column}=".lower()
    path = next((path for path in files if key in path[len(directory) :].lower()), "")
    return f"two directories in the path of {path} name dates; keep one of them" if path else ""


def _of_directories(layout: Layout, column: str, dates: Collection[dt.date]) -> TableFiles:
    files: dict[str, dt.date] = {}
    is_hive = True
    for date in sorted(dates):
        directories = layout.dates.get(date, [])
        if is_doubled(directories):
            names = " and ".join(sorted(directories))
            message = f"{date} lies in two directories, {names}; keep one of them"
            raise QueryError(message, file_scoped=True, permanent=True)
        for directory in directories:
            is_hive = is_hive and os.path.basename(directory) == f"{column}={date}"
            found = finished_files(directory)
            if twice := two_dates(directory, found, column):
                raise QueryError(twice, file_scoped=True, permanent=True)
            files |= dict.fromkeys(found, date)
    return TableFiles(kind="hive" if is_hive else "mapped", files=[*files], dates=[*files.values()])


def _of_delta(directory: Path, column: str, dates: Collection[dt.date]) -> TableFiles:
    table = delta.read(directory)
    if column.lower() not in table.partition_columns:
        return TableFiles(kind="column", files=[file.path for file in table.files])
    dated = [
        (file.path, _partition_date(directory, file.partition.get(column.lower()))) for file in table.files
    ]
    days = set(dates)
    wanted = [(path, date) for path, date in dated if date is not None and date in days]
    return TableFiles(kind="mapped", files=[path for path, _ in wanted], dates=[date for _, date in wanted])


def _partition_date(directory: Path, value: object) -> dt.date | None:
    """The date of a partition's value, which may be a date, a midnight or a text; None for NULL.

    Raises:
        QueryError: the value is no date. Rows of a time of day must not look absent.
    """
    date = date_of(str(value))
    if date is None and value is not None:
        raise QueryError(
            f"the Delta table {directory} has a partition {value}, which is no date; partition it by a DATE",
            permanent=True,
        )
    return date
