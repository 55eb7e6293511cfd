"""Whether a condition of the pipeline file needs one row alone, and a measure the rows of a date. Pure.

What only the warehouse can know is taken: functions of its users, and which table a column belongs to.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp

from backfilld.daemon.warehouses.sql import duckdb_parser

_POSTGRESQL = frozenset(
    (
        "bit_xor",
        "every",
        "json_agg_strict",
        "json_object_agg",
        "jsonb_object_agg",
        "range_agg",
        "range_intersect_agg",
        "xmlagg",
    )
)
"""Aggregates that sqlglot does not know by name."""
_ROW_REMEDY = (
    "it is a condition on one row: write one, or expect.change or expect.no_rows for a rule about all rows"
)
_MEASURE_REMEDY = "write an aggregate over the rows of a date, such as SUM(amount)"


def condition_problem(condition: exp.Expr, dialect: str) -> str:
    """Why a condition has no value for one row; empty where none shows."""
    for node in _outside_subqueries(condition):
        if isinstance(node, exp.Window):
            return f"has the window function {_shown(node, dialect)}, and {_ROW_REMEDY}"
        if _is_aggregate(node, dialect):
            return f"has the aggregate {_shown(node, dialect)}, and {_ROW_REMEDY}"
        if isinstance(node, exp.Explode | exp.Unnest) and not isinstance(node.parent, exp.In):
            return f"has {_shown(node, dialect)}, which gives several rows; write a subquery that counts them"
    return next(
        filter(None, (_subquery_problem(query, dialect) for query in condition.find_all(exp.Select))), ""
    )


def measure_problem(measure: exp.Expr, dialect: str) -> str:
    """Why a measure is no aggregate over the rows of a date; empty where nothing shows it."""
    nodes = list(_outside_subqueries(measure))
    for node in nodes:
        if isinstance(node, exp.Window):
            return f"has the window function {_shown(node, dialect)}; {_MEASURE_REMEDY}"
    unknown = any(isinstance(node, exp.Anonymous | exp.Dot | exp.Query) for node in nodes)
    column = next((node for node in nodes if isinstance(node, exp.Column)), None)
    if column is None or unknown or any(_is_aggregate(node, dialect) for node in nodes):
        return ""
    return f"names {_shown(column, dialect)} outside of an aggregate; {_MEASURE_REMEDY}"


def _subquery_problem(query: exp.Select, dialect: str) -> str:
    """Why a subquery gives no value for a row of the table around it; empty where none shows."""
    if not query.args.get("from_"):
        nodes = (node for column in query.expressions for node in _outside_subqueries(column))
        if found := next((node for node in nodes if _is_aggregate(node, dialect)), None):
            return f"has the aggregate {_shown(found, dialect)} of no table, and {_ROW_REMEDY}"
    subquery, columns = query.parent, query.expressions
    if not isinstance(subquery, exp.Subquery) or len(columns) < 2 or query.args.get("kind"):
        return ""
    around = subquery.parent
    compared = around.this if isinstance(around, exp.In) else None
    if isinstance(around, exp.EQ | exp.NEQ | exp.GT | exp.GTE | exp.LT | exp.LTE):
        compared = around.expression if around.this is subquery else around.this
    if not isinstance(compared, exp.Column | exp.Literal) or any(column.is_star for column in columns):
        return ""
    return f"compares {_shown(compared, dialect)} with a subquery of {len(columns)} columns; select one"


def _outside_subqueries(tree: exp.Expr) -> Iterator[exp.Expr]:
    """The nodes of an expression, without what is in its subqueries."""
    return tree.walk(prune=lambda node: isinstance(node, exp.Query))


def _is_aggregate(node: exp.Expr, dialect: str) -> bool:
    if isinstance(node, exp.AggFunc | exp.WithinGroup | exp.Filter):
        return True
    return isinstance(node, exp.Anonymous) and node.name.lower() in _other_aggregates(dialect)


def _other_aggregates(dialect: str) -> frozenset[str]:
    """Names of aggregates of a dialect that sqlglot may not know."""
    if dialect == "duckdb":
        return duckdb_parser.aggregates()
    return _POSTGRESQL if dialect == "postgres" else frozenset()


def _shown(node: exp.Expr, dialect: str) -> str:
    return node.sql(dialect=dialect)
