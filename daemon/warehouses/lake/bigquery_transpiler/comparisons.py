"""Comparisons and conditions: NULL, NaN, lists and patterns."""

from __future__ import annotations

from sqlglot import exp

from backfilld.daemon.warehouses.lake.bigquery_transpiler.quoting_and_refusal import (
    Emit,
    Writer,
    is_constant,
    require,
)

_NEVER_NAN = (
    exp.Boolean,
    exp.Null,
    exp.RawString,
    exp.Predicate,
    exp.Connector,
    exp.Not,
    exp.Concat,
    exp.Date,
    exp.Lower,
    exp.Upper,
    exp.Length,
    exp.Extract,
    exp.Substring,
    exp.Parameter,
    exp.Timestamp,
    exp.CurrentTimestamp,
    exp.CurrentDate,
)


def compare(symbol: str, emit: Emit, left: exp.Expr, right: exp.Expr) -> str:
    """A comparison. NaN is neither equal to anything nor larger or smaller; in DuckDB it is the largest."""
    text = f"{emit(left)} {symbol} {emit(right)}"
    nan = " OR ".join(is_nan(emit(side)) for side in (left, right) if may_be_nan(side))
    with_nan = "TRUE" if symbol == "<>" else "FALSE"
    # NULL first: a comparison with NULL is NULL, whatever the other side is.
    null = f"{emit(left)} IS NULL OR {emit(right)} IS NULL"
    return f"(CASE WHEN {null} THEN NULL WHEN {nan} THEN {with_nan} ELSE {text} END)" if nan else f"({text})"


def may_be_nan(node: exp.Expr) -> bool:
    """Whether an expression can be NaN."""
    if isinstance(node, exp.Paren):
        return may_be_nan(node.this)
    return not isinstance(node, (*_NEVER_NAN, exp.Literal, exp.Cast))


def is_nan(text: str) -> str:
    """Whether a value of any type is NaN; NULL is not."""
    return f"(typeof({text}) IN ('DOUBLE', 'FLOAT') AND coalesce(CAST({text} AS VARCHAR) = 'nan', FALSE))"


def between(emit: Emit, node: exp.Expr) -> str:
    """BETWEEN as two comparisons."""
    low = compare(">=", emit, node.this, node.args["low"])
    return f"({low} AND {compare('<=', emit, node.this, node.args['high'])})"


def in_values(emit: Emit, node: exp.Expr) -> str:
    """IN a list that is written, or IN UNNEST of an array."""
    if unnest := node.args.get("unnest"):
        (array,) = unnest.expressions
        require(node, isinstance(node.this, exp.Literal) and isinstance(array, exp.Column))
        return f"coalesce(list_contains({emit(array)}, {emit(node.this)}), FALSE)"
    values = node.expressions
    require(node, bool(values) and all(is_constant(value) for value in values))
    return f"({emit(node.this)} IN ({', '.join(map(emit, values))}))"


def is_value(emit: Emit, node: exp.Expr) -> str:
    """IS NULL, IS TRUE, IS FALSE."""
    require(node, isinstance(node.expression, exp.Null | exp.Boolean))
    return f"({emit(node.this)} IS {node.expression.sql()})"


def like(emit: Emit, node: exp.Expr) -> str:
    """LIKE without escapes."""
    pattern = node.expression
    require(node, isinstance(pattern, exp.Literal) and "\\" not in str(pattern.this))
    words = "NOT LIKE" if node.args.get("negate") else "LIKE"
    return f"({emit(node.this)} {words} {emit(pattern)})"


def comparison(symbol: str) -> Writer:
    """The writer of a comparison."""
    return lambda emit, node: compare(symbol, emit, node.this, node.expression)
