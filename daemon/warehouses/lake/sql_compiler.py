"""A query rendered in DuckDB's SQL, with the files of the lake in place of its tables.

SQL of the pipeline file stays as it was written, but for its parameters, or is carried from BigQuery's SQL.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlglot import exp

from backfilld.daemon.warehouses.adapter import QueryError
from backfilld.daemon.warehouses.lake.bigquery_transpiler.queries import to_duckdb
from backfilld.daemon.warehouses.lake.settings import Dialect
from backfilld.daemon.warehouses.sql import duckdb_parser
from backfilld.daemon.warehouses.sql.evidence_queries import CACHED, Statement
from backfilld.daemon.warehouses.sql.fragment_embedding import (
    named_parameters,
    user_texts,
    with_parameters,
    with_user_sql,
)

DIALECT = "duckdb"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """A SELECT in DuckDB's SQL: `text` has a slot `{0}`, `{1}` .. for each of `tables`.

    `views` are the tables that SQL of the pipeline file reads, as (schema, name).
    """

    text: str
    tables: tuple[str, ...]
    params: frozenset[str]
    views: frozenset[tuple[str, str]]

    def with_tables(self, sources: Mapping[str, str]) -> str:
        """The text that reads each table from its source."""
        return _SLOT.sub(lambda match: sources[self.tables[int(match[1])]], self.text)


_NUMBER = re.compile(r"\$date\d+\b")
"""The parameter of one of many dates, whose SQL is parsed once for all of them."""
_SLOT = re.compile(r'"lake slot (\d+)"')


@lru_cache(maxsize=CACHED)
def render(statement: Statement, written_in: Dialect, date_columns: frozenset[str]) -> Rendered:
    """A SELECT for DuckDB. `date_columns` are the names of the columns of dates, in lower case.

    Raises:
        QueryError: SQL of the pipeline file is not SQL, or is not carried to DuckDB's dialect exactly.
    """
    tree = with_user_sql(statement.tree, lambda text: _own(text, written_in, date_columns))
    tables = _slots(tree)
    params = {node.name for node in tree.find_all(exp.Parameter)}
    texts = user_texts(tree)
    params |= {name for text in texts for name in named_parameters(text)}
    views = frozenset(view for text in texts for view in tables_in(_NUMBER.sub("$date", text)))
    return Rendered(text=tree.sql(DIALECT), tables=tables, params=frozenset(params), views=views)


def _own(text: str, written_in: Dialect, date_columns: frozenset[str]) -> str:
    return to_duckdb(text, date_columns) if written_in == "bigquery" else with_parameters(text, "$")


@lru_cache(maxsize=512)
def tables_in(text: str) -> frozenset[tuple[str, str]]:
    """The tables that a predicate or a query in DuckDB's SQL reads, as (schema, name), by DuckDB's parser.

    Raises:
        QueryError: it is not SQL.
    """
    # A predicate alone is no statement. One that begins like a query is one.
    query = (
        text if re.match(r"\s*(SELECT|WITH|FROM)\b", text, re.IGNORECASE) else f"SELECT 1 WHERE ({text}\n)"
    )
    tree, error = duckdb_parser.parse(query)
    if error:
        raise QueryError(error)
    return frozenset(_named(tree))


def _named(node: Any) -> Iterator[tuple[str, str]]:
    """The tables with a schema anywhere in a parsed query; the others are the query's own."""
    if isinstance(node, list):
        for part in node:
            yield from _named(part)
    elif isinstance(node, dict):
        if node.get("type") == "BASE_TABLE" and node.get("schema_name"):
            yield node["schema_name"], node["table_name"]
        for part in node.values():
            yield from _named(part)


def _slots(tree: exp.Expr) -> tuple[str, ...]:
    """Put a numbered slot in the place of each table that has a dataset, and name the tables."""
    names: dict[str, int] = {}
    for table in list(tree.find_all(exp.Table)):
        if not table.db:
            continue  # a common table expression of the query itself
        number = names.setdefault(f"{table.db}.{table.name}", len(names))
        if not table.alias:
            table.set("alias", exp.TableAlias(this=exp.to_identifier(table.name, quoted=True)))
        table.set("this", exp.to_identifier(f"lake slot {number}", quoted=True))
        table.set("db", None)
        table.set("catalog", None)
    return tuple(names)
