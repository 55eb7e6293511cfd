"""What DuckDB reads in place of a table: its files, with the date column."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb

from backfilld.daemon.warehouses.lake import delta
from backfilld.daemon.warehouses.lake.bigquery_transpiler.quoting_and_refusal import quoted
from backfilld.daemon.warehouses.lake.finished_files import finished_files
from backfilld.daemon.warehouses.lake.iceberg.current_metadata import is_iceberg
from backfilld.daemon.warehouses.lake.iceberg.table_cache import read as read_iceberg
from backfilld.daemon.warehouses.lake.layout import require_readable
from backfilld.daemon.warehouses.lake.table_scan_model import TableFiles

_KEY = re.compile(r"/([^/=]+)=[^/]*(?=/)")
"""The key of a directory such as `date=2024-03-01` in the path of a file."""

_ALSO_NAN = "can_have_nan = true"
"""Arrow leaves NaN out of the bounds of a column, by which DuckDB 2.0 would skip its rows."""

Bind = Callable[[str, Sequence[Any]], str]
"""Takes a name and a list of values; returns an expression for the list."""


def source_of(located: TableFiles, bind: Bind, column: str = "") -> str:
    """The rows of a table's files, with the date column `column`."""
    parts = [located] if located.schema else [*_by_keys(located)]
    if len(parts) < 2:
        rows = _rows_of(located, bind, column)
    else:  # DuckDB reads files together only where their directories have the same keys
        of_parts = ["FROM " + _rows_of(part, _numbered(bind, n), column) for n, part in enumerate(parts)]
        rows = f"({' UNION ALL BY NAME '.join(of_parts)})"
    if not located.absent:
        return rows
    nulls = ", ".join(f"CAST(NULL AS {kind}) AS {quoted(name)}" for name, kind in located.absent)
    return f"(SELECT *, {nulls} FROM {rows})"  # noqa: S608  names are quoted


def _by_keys(located: TableFiles) -> Iterator[TableFiles]:
    """The files in parts whose directories have the same keys, such as `date` and `hour`."""
    parts: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
    for number, path in enumerate(located.files):
        parts[tuple(_KEY.findall(path))].append(number)
    if len(parts) < 2:
        yield located
        return
    for numbers in parts.values():
        files = [located.files[number] for number in numbers]
        dates = [located.dates[number] for number in numbers] if located.dates else ()
        yield replace(located, files=files, dates=dates)


def _numbered(bind: Bind, number: int) -> Bind:
    return lambda name, values: bind(f"{name}_{number}_", values)


def _rows_of(located: TableFiles, bind: Bind, column: str) -> str:
    """The rows of files whose directories have the same keys."""
    files = bind("files", located.files)
    options = f"hive_partitioning = true, union_by_name = true, {_ALSO_NAN}"
    if located.schema:
        options = f"hive_partitioning = false, schema = {located.schema}, {_ALSO_NAN}"
    if located.kind == "hive":
        return f"read_parquet({files}, {options}, hive_types = {{'{column}': DATE}})"
    if located.deletes:
        rows = _without_deleted(located, files, options, bind)
    elif located.kind == "column":
        return f"read_parquet({files}, {options})"
    else:
        rows = f"SELECT * FROM read_parquet({files}, filename = true, {options})"  # noqa: S608
    if located.kind == "column":
        return f"(SELECT * EXCLUDE (filename) FROM ({rows}))"  # noqa: S608
    date = f'map_extract(MAP({files}, {bind("dates_of", located.dates)}), filename)[1] AS "{column}"'
    others = f"COLUMNS(lambda name: lower(name) NOT IN ('{column.lower()}', 'filename'))"
    return f"(SELECT {others}, {date} FROM ({rows}))"  # noqa: S608


def _without_deleted(located: TableFiles, files: str, options: str, bind: Bind) -> str:
    """The rows of files but for those whose positions were deleted, with the path of their file."""
    deletes, names = bind("deletes", located.deletes), bind("names", located.names)
    positions = (
        f"SELECT path, pos FROM read_parquet({deletes}, hive_partitioning = false, union_by_name = true)"  # noqa: S608
        f" JOIN (SELECT unnest({names}) AS name, unnest({files}) AS path) ON file_path = name"
    )
    numbered = "filename = true, file_row_number = true"
    rows = f"SELECT * FROM read_parquet({files}, {numbered}, {options})"  # noqa: S608
    deleted = "deleted.path = rows.filename AND deleted.pos = rows.file_row_number"
    kept = f"({rows}) AS rows ANTI JOIN ({positions}) AS deleted ON {deleted}"
    return f"SELECT rows.* EXCLUDE (file_row_number) FROM {kept}"  # noqa: S608


def whole_table(directory: Path) -> TableFiles:
    """Every file of a table, whatever its date.

    Raises:
        QueryError: the table is of a format that is not read, or its metadata cannot be read.
        OSError: a directory cannot be read.
    """
    if is_iceberg(directory):
        return read_iceberg(directory).whole()
    return TableFiles(kind="column", files=all_files(directory))


def all_files(directory: Path) -> list[str]:
    """Every file of a table of plain files or of a Delta table.

    Raises:
        QueryError: the table is of a format that is not read.
        OSError: a directory cannot be read.
    """
    if delta.is_delta(directory):
        return [file.path for file in delta.read(directory).files]
    require_readable(directory)
    return finished_files(directory)


def drifted_file(files: list[str]) -> str | None:
    """The file whose columns differ from those of most of the others; None where all are alike.

    Raises:
        duckdb.Error: a file cannot be read.
    """
    sql = (
        "SELECT file_name, string_agg(name || ' ' || coalesce(type, '') || coalesce(logical_type, ''), ','"
        " ORDER BY name) FROM parquet_schema($files) WHERE type IS NOT NULL GROUP BY file_name"
    )
    with duckdb.connect() as connection:
        schemas: dict[str, str] = dict(connection.execute(sql, {"files": files}).fetchall())
    counts = {schema: [*schemas.values()].count(schema) for schema in schemas.values()}
    if len(counts) < 2:
        return None
    return min(schemas, key=lambda path: (counts[schemas[path]], path))
