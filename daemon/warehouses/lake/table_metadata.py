"""The tables of a lake: its directories, and the columns of their newest files."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from backfilld.daemon.preflight.findings import Finding, failed, passed, warned
from backfilld.daemon.warehouses.adapter import (
    PreflightCheck,
    PreflightScope,
    QueryError,
    TableInfo,
    TimeType,
    WarehouseError,
)
from backfilld.daemon.warehouses.lake import outside_links
from backfilld.daemon.warehouses.lake.backend import missing_lake
from backfilld.daemon.warehouses.lake.delta import is_delta
from backfilld.daemon.warehouses.lake.delta import read as read_delta
from backfilld.daemon.warehouses.lake.finished_files import finished_files, uncounted_file, unread_file
from backfilld.daemon.warehouses.lake.iceberg.current_metadata import is_iceberg
from backfilld.daemon.warehouses.lake.iceberg.table_cache import read as read_iceberg
from backfilld.daemon.warehouses.lake.layout import (
    PARTS,
    Layout,
    foreign_format,
    is_doubled,
    locate,
    read_layout,
    two_dates,
)
from backfilld.daemon.warehouses.lake.query_errors import READABLE, query_error
from backfilld.daemon.warehouses.lake.regular_files import REMEDY as REGULAR_FILES_REMEDY
from backfilld.daemon.warehouses.lake.regular_files import special_kind
from backfilld.daemon.warehouses.lake.table_scan import all_files
from backfilld.daemon.warehouses.lake.unread_files import REMEDY
from backfilld.daemon.warehouses.sql.duckdb_session import time_type
from backfilld.state.formatting import join_truncated, pluralize
from backfilld.state.pipeline.processor import Processor

if TYPE_CHECKING:
    from backfilld.daemon.warehouses.lake.iceberg.table import IcebergTable


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
            QueryError: the newest file, or the metadata of an Iceberg table, cannot be read.
        """
        directory = self._root.joinpath(*table.split("."))
        try:
            if is_iceberg(directory):
                return _describe_iceberg(read_iceberg(directory))
            newest = max(_files(directory), default=None)
        except OSError as error:
            raise query_error(error, self._root) from error
        if newest is None:
            return None
        modified_at, path = newest
        keys = _keys(directory, path)
        try:
            with duckdb.connect() as connection:
                relation = connection.read_parquet(path)
                columns = dict(zip(relation.columns, map(str, relation.types), strict=True))
        except duckdb.Error as error:
            raise QueryError(f"{path}: {error}") from error
        names_dates = _are_parts(keys) and not is_delta(directory)
        return TableInfo(
            columns=frozenset(name.lower() for name in (*columns, *keys)),
            time_columns={} if names_dates else _time_columns(columns, keys),
            partition_column=keys[-1].lower() if keys else None,
            names_dates=names_dates,
            modified_at=modified_at,
        )

    def preflight_checks(self) -> tuple[PreflightCheck, ...]:
        """Files that no date leads to."""
        return (
            PreflightCheck(
                name="layout", title="layout of files", run=partial(_unread_files, root=self._root)
            ),
        )


def _keys(directory: Path, path: str) -> Sequence[str]:
    """The names of the columns that directories have, or the partitions of a Delta table."""
    if is_delta(directory):
        return read_delta(directory).partition_columns
    return [part.partition("=")[0] for part in Path(path).relative_to(directory).parts if "=" in part]


def _describe_iceberg(table: IcebergTable) -> TableInfo:
    times = {name: kind for name, column in table.columns.items() if (kind := column.time_type)}
    return TableInfo(
        columns=frozenset(table.columns),
        time_columns=times,
        partition_column=table.partition_column,
        modified_at=table.changed_at,
    )


def _time_columns(types: Mapping[str, str], keys: Sequence[str]) -> Mapping[str, TimeType]:
    """The columns of times by DuckDB's types. What directories name are dates, whatever the files have."""
    return {
        name.lower(): times for name, kind in types.items() if name not in keys and (times := time_type(kind))
    }


def _are_parts(keys: Sequence[str]) -> bool:
    """Whether directories name the year, the month and the day of a date."""
    return set(PARTS) <= {key.lower() for key in keys}


def _unread_files(scope: PreflightScope, *, root: Path) -> Iterator[Finding]:
    """Every file belongs to a date that a directory names; or none does, and a column has the date."""
    findings: list[Finding] = []
    for processor in {p.table: p for p in scope.pipeline.processors.values()}.values():
        try:
            findings += _table_findings(processor, root)
        except OSError as error:
            text, _, remedy = str(query_error(error, root)).partition("; ")
            findings.append(failed(f"{processor.table}: {text}", remedy or READABLE))
    yield from findings
    if not findings:
        yield passed("every file belongs to a date")


def _table_findings(processor: Processor, root: Path) -> Iterator[Finding]:
    directory = root.joinpath(*processor.table.split("."))
    if links := outside_links.outside_links(root, directory):
        yield failed(f"{processor.table}: {join_truncated(links)}", outside_links.REMEDY)
    if is_delta(directory):
        yield from _delta_findings(processor, root, directory)
    elif is_iceberg(directory):
        yield from _iceberg_findings(processor, root, directory)
    else:
        yield from _layout_findings(processor.table, processor.date_column, directory)


def _delta_findings(processor: Processor, root: Path, directory: Path) -> Iterator[Finding]:
    try:
        locate(directory, processor.date_column, ())
        files = all_files(directory)
    except QueryError as error:
        yield failed(f"{processor.table}: {error}", "repair the table, or write its output in another format")
        return
    yield from _outside_findings(processor.table, root, files)


def _outside_findings(table: str, root: Path, files: Sequence[str]) -> Iterator[Finding]:
    if outside := outside_links.outside_files(root, files):
        yield failed(f"{table}: {join_truncated(outside)}", outside_links.NAME_FILES_WITHIN)


def _iceberg_findings(processor: Processor, root: Path, directory: Path) -> Iterator[Finding]:
    table, column = processor.table, processor.date_column
    try:
        partition_column = read_iceberg(directory).partition_column
        files = read_iceberg(directory).whole().files
    except QueryError as error:
        yield failed(f"{table}: {error}", "repair the table, or write its output in another format")
        return
    yield from _outside_findings(table, root, files)
    if partition_column != column.lower():
        line = (
            f"{table}: the Iceberg table has no partition for each date of {column}; queries read more files"
        )
        yield warned(line, f"partition it by {column}, or by day({column})")


def _layout_findings(table: str, column: str, directory: Path) -> Iterator[Finding]:
    if kind := foreign_format(directory):
        yield failed(
            f"{table} is {kind} table, which a lake does not read", "write Parquet, Delta or Iceberg"
        )
        return
    layout = read_layout(directory, column)
    hint = f"move it to {column}=2024-03-01, or correct date_column"
    if layout.undated_directories:
        names = join_truncated(sorted(layout.undated_directories))
        verb = "name" if len(layout.undated_directories) > 1 else "names"
        yield failed(f"{table}: {names} {verb} no date", hint)
    for date, directories in layout.dates.items():
        if is_doubled(directories):
            yield failed(f"{table}: {date} lies in {' and '.join(sorted(directories))}", "keep one of them")
    if special := [f"{path} is {kind}" for path in all_files(directory) if (kind := special_kind(path))]:
        yield failed(f"{table}: {join_truncated(special)}, not a file", REGULAR_FILES_REMEDY)
    yield from _two_date_findings(table, column, layout)
    yield from _ending_findings(table, layout, directory)
    if layout.undated_files and layout.dates:
        files = pluralize(len(layout.undated_files), "file")
        yield failed(f"{table}: {files} outside of all dates: {layout.undated_files[0]}", hint)
    elif layout.undated_files:
        files = pluralize(len(layout.undated_files), "file")
        line = f"{table}: no directory names a date of {column}; each query reads all of {files}"
        yield warned(line, f"write the files of each date to {column}=2024-03-01")


def _two_date_findings(table: str, column: str, layout: Layout) -> Iterator[Finding]:
    """Files whose path names two dates."""
    places = [place for directories in layout.dates.values() for place in directories]
    found = (two_dates(place, finished_files(place), column) for place in places)
    if twice := next(filter(None, found), ""):
        line, _, remedy = twice.partition("; ")
        yield failed(f"{table}: {line}", remedy)


def _ending_findings(table: str, layout: Layout, directory: Path) -> Iterator[Finding]:
    """Files whose rows do not count, in the directories of each date or in that of the table."""
    partitions = [*layout.dates.values()] or [[os.fspath(directory)]]
    if unread := list(filter(None, map(unread_file, partitions))):
        dates = pluralize(len(unread), "date") if layout.dates else "a table"
        line = f"{table}: {dates} without a file that is read, but with others, such as {min(unread)}"
        yield warned(line, REMEDY)
    if uncounted := list(filter(None, map(uncounted_file, partitions))):
        dates = pluralize(len(uncounted), "date") if layout.dates else "a table"
        line = f"{table}: {dates} with rows that do not count, in files such as {min(uncounted)}"
        yield warned(line, f"{REMEDY}, or remove the others")


def _files(directory: Path) -> Iterator[tuple[float, str]]:
    """The finished files below a directory, with the time of their last change; regular files only."""
    for path in all_files(directory):
        with suppress(FileNotFoundError):  # a job has just replaced it
            if not special_kind(path):
                yield os.stat(path).st_mtime, path
