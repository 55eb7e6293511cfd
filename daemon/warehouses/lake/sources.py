"""What DuckDB reads in place of a table: its files, with the date column."""

from __future__ import annotations

from pathlib import Path

import duckdb

from backfilld.daemon.warehouses.lake import delta
from backfilld.daemon.warehouses.lake.finished_files import finished_files
from backfilld.daemon.warehouses.lake.layout import Kind, require_readable


def source_of(kind: Kind, files: str, column: str = "", dates: str = "") -> str:
    """The rows of files; `files` is an expression for their paths, `dates` one for the date of each."""
    options = "hive_partitioning = true, union_by_name = true"
    if kind == "hive":
        return f"read_parquet({files}, {options}, hive_types = {{'{column}': DATE}})"
    if kind == "column":
        return f"read_parquet({files}, {options})"
    date = f'map_extract(MAP({files}, {dates}), filename)[1] AS "{column}"'
    others = f"COLUMNS(lambda name: lower(name) NOT IN ('{column.lower()}', 'filename'))"
    return f"(SELECT {others}, {date} FROM read_parquet({files}, filename = true, {options}))"  # noqa: S608


def all_files(directory: Path) -> list[str]:
    """Every file of a table, whatever its date.

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
