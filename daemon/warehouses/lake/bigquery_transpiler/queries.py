"""Predicates and queries of BigQuery's SQL in DuckDB's, or why one is refused. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from backfilld.daemon.warehouses.adapter import QueryError
from backfilld.daemon.warehouses.lake.bigquery_transpiler.expressions import EXPRESSIONS, IMPLIED
from backfilld.daemon.warehouses.lake.bigquery_transpiler.quoting_and_refusal import NotExactError, quoted
from backfilld.daemon.warehouses.lake.bigquery_transpiler.times import DATE_COLUMN
from backfilld.daemon.warehouses.sql.fragment_embedding import strip_colors

REMEDY = "write it in DuckDB's SQL and remove warehouse.dialect"
"""What to do about an expression that is refused."""


@lru_cache(maxsize=512)
def to_duckdb(text: str, date_columns: frozenset[str] = frozenset()) -> str:
    """A predicate or a query of BigQuery's SQL in DuckDB's, with the same answer.

    `date_columns` are the names of columns, in lower case, to which days may be added.

    Raises:
        QueryError: it is no SQL, or a part of it is not known to mean the same; the part is named.
    """
    try:
        tree = sqlglot.parse_one(text, read="bigquery")
        for column in tree.find_all(exp.Column):
            column.meta[DATE_COLUMN] = column.name.lower() in date_columns
        return _emit(tree)
    except SqlglotError as error:
        raise QueryError(strip_colors(str(error))) from error
    except NotExactError as error:
        raise QueryError(f"{error} may mean something else in the lake's SQL than in BigQuery's") from error


def _emit(node: exp.Expr) -> str:
    if isinstance(node, exp.Select):
        return _select(node)
    if isinstance(node, exp.Subquery):
        return _subquery(node)
    if isinstance(node, exp.Exists):
        _only(node, "this")
        return f"EXISTS ({_select(node.this)})"
    if isinstance(node, exp.Union):
        return _union(node)
    emitted = EXPRESSIONS.get(type(node))
    if emitted is None:
        raise NotExactError(node)
    write, keys = emitted
    _only(node, *keys.split())
    return write(_emit, node)


def _only(node: exp.Expr, *keys: str) -> None:
    """Refuse a node with an argument that is not taken into account."""
    for key, value in node.args.items():
        if value and key not in keys and key not in IMPLIED:
            raise NotExactError(node)


def _select(node: exp.Expr) -> str:
    """A SELECT whose clauses mean the same in both."""
    if not isinstance(node, exp.Select):
        raise NotExactError(node)
    _only(node, "expressions", "from_", "joins", "where", "group", "having", "order", "distinct", "with_")
    parts = [_with(node), f"SELECT{' DISTINCT' if _is_distinct(node) else ''} "]
    parts.append(", ".join(map(_projection, node.expressions)))
    if source := node.args.get("from_"):
        parts.append(f" FROM {_source(source.this)}")
    parts += [_join(join) for join in node.args.get("joins") or ()]
    if where := node.args.get("where"):
        parts.append(f" WHERE {_emit(where.this)}")
    if group := node.args.get("group"):
        _only(group, "expressions")
        parts.append(f" GROUP BY {_ordinals(group.expressions)}")
    if having := node.args.get("having"):
        parts.append(f" HAVING {_emit(having.this)}")
    if order := node.args.get("order"):
        parts.append(f" ORDER BY {_ordinals(_ordered(order))}")
    return "".join(parts)


def _is_distinct(node: exp.Select) -> bool:
    distinct = node.args.get("distinct")
    if distinct and (distinct.args.get("on") or distinct.expressions):
        raise NotExactError(node)
    return bool(distinct)


def _with(node: exp.Expr) -> str:
    clause = node.args.get("with_")
    if not clause:
        return ""
    _only(clause, "expressions")
    tables = []
    for table in clause.expressions:
        _only(table, "this", "alias")
        tables.append(f"{quoted(table.alias)} AS ({_emit(table.this)})")
    return f"WITH {', '.join(tables)} "


def _projection(node: exp.Expr) -> str:
    if isinstance(node, exp.Alias):
        return f"{_emit(node.this)} AS {quoted(node.alias)}"
    if isinstance(node, exp.Star):
        _only(node)
        return "*"
    return _emit(node)


def _ordinals(nodes: Iterable[exp.Expr]) -> str:
    """Columns by position stay numbers; all else is an expression."""
    return ", ".join(
        str(node.this) if isinstance(node, exp.Literal) and not node.is_string else _emit(node)
        for node in nodes
    )


def _ordered(order: exp.Expr) -> Iterator[exp.Expr]:
    for term in order.expressions:
        _only(term, "this", "nulls_first")
        yield term.this


def _source(node: exp.Expr) -> str:
    """A table, a subquery, or the elements of an array."""
    if isinstance(node, exp.Table):
        _only(node, "this", "db", "catalog", "alias")
        path = ".".join(quoted(part.name) for part in node.parts)
        return path + (f" AS {quoted(node.alias)}" if node.alias else "")
    if isinstance(node, exp.Unnest):
        return _elements(node)
    if isinstance(node, exp.Subquery):
        return _subquery(node)
    raise NotExactError(node)


def _elements(node: exp.Unnest) -> str:
    """The elements of an array as a table of one column, which has the alias."""
    _only(node, "expressions", "alias")
    alias = node.args.get("alias")
    names = [*(alias.columns if alias else ()), *([alias.this] if alias and alias.this else [])]
    if (
        node.args.get("offset")
        or len(names) != 1
        or len(node.expressions) != 1
        or not isinstance(node.expressions[0], exp.Column)
    ):
        raise NotExactError(node)
    return f"(SELECT UNNEST({_emit(node.expressions[0])}) AS {quoted(names[0].name)})"


def _subquery(node: exp.Expr) -> str:
    _only(node, "this", "alias")
    return f"({_emit(node.this)})" + (f" AS {quoted(node.alias)}" if node.alias else "")


def _join(node: exp.Expr) -> str:
    _only(node, "this", "on", "using", "side", "kind")
    side, kind = (node.args.get("side") or "").upper(), (node.args.get("kind") or "").upper()
    if side not in ("", "LEFT", "RIGHT", "FULL") or kind not in ("", "INNER", "OUTER", "CROSS"):
        raise NotExactError(node)
    text = " ".join(filter(None, (side, kind, "JOIN"))) + f" {_source(node.this)}"
    if on := node.args.get("on"):
        return f" {text} ON {_emit(on)}"
    if using := node.args.get("using"):
        return f" {text} USING ({', '.join(quoted(column.name) for column in using)})"
    return f" CROSS JOIN {_source(node.this)}"


def _union(node: exp.Expr) -> str:
    _only(node, "this", "expression", "distinct", "with_")
    words = "UNION" if node.args.get("distinct") else "UNION ALL"
    return f"{_with(node)}{_emit(node.this)} {words} {_emit(node.expression)}"
