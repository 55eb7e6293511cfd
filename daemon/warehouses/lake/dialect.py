"""BigQuery's SQL carried to DuckDB's, with tables of the lake in place of BigQuery's tables."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from backfilld.daemon.warehouses.backend import QueryError

_ANSI = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True, slots=True, kw_only=True)
class Transpiled:
    """A SELECT in DuckDB's SQL: `text` has a slot `{0}`, `{1}` .. for each of `tables`."""

    text: str
    tables: tuple[str, ...]
    params: frozenset[str]

    def with_tables(self, sources: Mapping[str, str]) -> str:
        """The text that reads each table from its source."""
        return _SLOT.sub(lambda match: sources[self.tables[int(match[1])]], self.text)


_SLOT = re.compile(r'"lake slot (\d+)"')


@lru_cache(maxsize=512)
def transpile(sql: str) -> Transpiled:
    """A SELECT of BigQuery's dialect for DuckDB.

    Raises:
        Refusal: it is not SQL.
    """
    try:
        tree = sqlglot.parse_one(sql, read="bigquery")
        tables = _slots(tree)
        params = {node.name for node in tree.find_all(exp.Parameter)}
        text = tree.sql(dialect="duckdb")
    except SqlglotError as error:
        raise QueryError(_ANSI.sub("", str(error))) from error
    return Transpiled(text=text, tables=tables, params=frozenset(params))


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
