"""SQL of the pipeline file, which is written in BigQuery's dialect. Pure."""

from __future__ import annotations

import re
from functools import lru_cache

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from backfilld.daemon.warehouses.adapter import QueryError

WRITTEN_IN = "bigquery"
"""The dialect of the SQL in pipeline files."""

_MARK = "written in the pipeline file"
_ANSI = re.compile(r"\x1b\[[0-9;]*m")


def user_sql(text: str) -> exp.Expr:
    """A predicate or a query of the pipeline file as part of a query. It is rendered as it was written."""
    node = exp.var(text)
    node.meta[_MARK] = True
    return node


def translated(tree: exp.Expr) -> exp.Expr:
    """A copy of a query in which SQL of the pipeline file is parsed, for a warehouse of another dialect.

    Raises:
        QueryError: it is not SQL.
    """

    def parsed(node: exp.Expr) -> exp.Expr:
        return _parsed(node.name).copy() if node.meta.get(_MARK) else node

    return tree.transform(parsed)


def columns_in(predicate: str) -> frozenset[str]:
    """The columns that a predicate of the pipeline file names, in lower case.

    Raises:
        QueryError: it is not SQL.
    """
    # Of a field within a column, `a.b`, only the column `a` is one of the table's.
    return frozenset(column.parts[0].name.lower() for column in _parsed(predicate).find_all(exp.Column))


@lru_cache(maxsize=512)
def _parsed(text: str) -> exp.Expr:
    try:
        return sqlglot.parse_one(text, read=WRITTEN_IN)
    except SqlglotError as error:
        raise QueryError(_ANSI.sub("", str(error))) from error
