"""DuckDB's own parser and list of functions, asked in a database in memory that is opened once."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import duckdb


def parse(query: str) -> tuple[dict[str, Any], str]:
    """The tree of a query, as JSON, and what the parser says against it: empty where it is SQL."""
    with _database().cursor() as connection:
        (answer,) = connection.execute("SELECT json_serialize_sql($1::VARCHAR)", [query]).fetchall()[0]
    tree: dict[str, Any] = json.loads(answer)
    return tree, str(tree.get("error_message") or "it is not SQL") if tree["error"] else ""


@cache
def aggregates() -> frozenset[str]:
    """The names of functions that are aggregates alone."""
    with _database().cursor() as connection:
        rows = connection.execute(
            "SELECT function_name FROM duckdb_functions()"
            " GROUP BY 1 HAVING BOOL_AND(function_type = 'aggregate')"
        ).fetchall()
    return frozenset(name for (name,) in rows)


@cache
def _database() -> duckdb.DuckDBPyConnection:
    return duckdb.connect()
