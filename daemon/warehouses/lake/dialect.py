"""A query rendered in DuckDB's SQL, with the files of the lake in place of its tables."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from sqlglot import exp

from backfilld.daemon.warehouses.sql.pipeline_sql import translated
from backfilld.daemon.warehouses.sql.queries import CACHED, Statement

DIALECT = "duckdb"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """A SELECT in DuckDB's SQL: `text` has a slot `{0}`, `{1}` .. for each of `tables`."""

    text: str
    tables: tuple[str, ...]
    params: frozenset[str]

    def with_tables(self, sources: Mapping[str, str]) -> str:
        """The text that reads each table from its source."""
        return _SLOT.sub(lambda match: sources[self.tables[int(match[1])]], self.text)


_SLOT = re.compile(r'"lake slot (\d+)"')


@lru_cache(maxsize=CACHED)
def render(statement: Statement) -> Rendered:
    """A SELECT for DuckDB.

    Raises:
        QueryError: SQL of the pipeline file is not SQL.
    """
    tree = translated(statement.tree)
    tables = _slots(tree)
    params = frozenset(node.name for node in tree.find_all(exp.Parameter))
    return Rendered(text=tree.sql(DIALECT), tables=tables, params=params)


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
