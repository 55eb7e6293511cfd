"""The allow-list: how each expression is written for DuckDB. Whatever is not named here is refused.

Where the two differ in NULL, NaN, rounding or time zones, the text for DuckDB spells out what BigQuery
documents.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlglot import exp

from backfilld.daemon.warehouses.lake.bigquery_transpiler import comparisons, times, values
from backfilld.daemon.warehouses.lake.bigquery_transpiler.expression_writer import Writer

EXPRESSIONS: Mapping[type[exp.Expr], tuple[Writer, str]] = {
    exp.EQ: (comparisons.comparison("="), "this expression"),
    exp.NEQ: (comparisons.comparison("<>"), "this expression"),
    exp.LT: (comparisons.comparison("<"), "this expression"),
    exp.LTE: (comparisons.comparison("<="), "this expression"),
    exp.GT: (comparisons.comparison(">"), "this expression"),
    exp.GTE: (comparisons.comparison(">="), "this expression"),
    exp.And: (values.operator("AND"), "this expression"),
    exp.Or: (values.operator("OR"), "this expression"),
    exp.Not: (lambda emit, node: f"(NOT {emit(node.this)})", "this"),
    exp.Paren: (lambda emit, node: f"({emit(node.this)})", "this"),
    exp.Neg: (lambda emit, node: f"(- {emit(node.this)})", "this"),
    exp.Add: (values.operator("+"), "this expression"),
    exp.Sub: (values.operator("-"), "this expression"),
    exp.Mul: (values.operator("*"), "this expression"),
    exp.DPipe: (values.operator("||"), "this expression safe"),
    exp.Between: (comparisons.between, "this low high"),
    exp.In: (comparisons.in_values, "this expressions unnest"),
    exp.Is: (comparisons.is_value, "this expression"),
    exp.Like: (comparisons.like, "this expression negate"),
    exp.Boolean: (lambda emit, node: "TRUE" if node.this else "FALSE", "this"),
    exp.Null: (lambda emit, node: "NULL", ""),
    exp.Literal: (lambda emit, node: values.literal(node), "this is_string"),
    exp.RawString: (lambda emit, node: values.literal(node), "this"),
    exp.Column: (lambda emit, node: values.column(node), "this table db catalog"),
    exp.Parameter: (lambda emit, node: f"${node.name}", "this"),
    exp.If: (values.if_, "this true false"),
    exp.Case: (values.case, "this ifs default"),
    exp.Coalesce: (
        lambda emit, node: f"coalesce({', '.join(map(emit, (node.this, *node.expressions)))})",
        "this expressions",
    ),
    exp.Nullif: (values.nullif, "this expression"),
    exp.Greatest: (values.greatest, "this expressions"),
    exp.Abs: (values.call("abs", "this"), "this"),
    exp.Round: (lambda emit, node: f"round(CAST({emit(node.this)} AS DOUBLE))", "this"),
    exp.SafeDivide: (values.safe_divide, "this expression"),
    exp.IntDiv: (values.by_constant("//"), "this expression"),
    exp.Mod: (values.by_constant("%"), "this expression"),
    exp.IsNan: (
        lambda emit, node: (
            f"(CASE WHEN {emit(node.this)} IS NULL THEN NULL ELSE {comparisons.is_nan(emit(node.this))} END)"
        ),
        "this",
    ),
    exp.Lower: (values.of_ascii("lower"), "this"),
    exp.Upper: (values.of_ascii("upper"), "this"),
    exp.Length: (values.call("length", "this"), "this"),
    exp.StartsWith: (values.call("starts_with", "this", "expression"), "this expression"),
    exp.EndsWith: (values.call("ends_with", "this", "expression"), "this expression"),
    exp.StrPosition: (values.call("strpos", "this", "substr"), "this substr"),
    exp.Substring: (values.substring, "this start length"),
    exp.Concat: (
        lambda emit, node: f"({' || '.join(map(emit, node.expressions))})",
        "expressions",
    ),
    exp.RegexpLike: (values.matches, "this expression"),
    exp.RegexpExtract: (values.extracted, "this expression"),
    exp.Bracket: (values.bracket, "this expressions"),
    exp.Split: (values.split, "this expression"),
    exp.Date: (times.date, "this zone"),
    exp.Extract: (times.extract, "this expression"),
    exp.DateDiff: (times.date_diff, "this expression unit"),
    exp.DateTrunc: (times.date_trunc, "this unit"),
    exp.DateAdd: (times.shifted("+"), "this expression unit"),
    exp.DateSub: (times.shifted("-"), "this expression unit"),
    exp.TimestampDiff: (times.timestamp_diff, "this expression unit"),
    exp.Timestamp: (times.timestamp, "this"),
    exp.TsOrDsToDatetime: (lambda emit, node: times.local(emit, node.this, None), "this"),
    exp.CurrentTimestamp: (lambda emit, node: "current_timestamp", ""),
    exp.CurrentDate: (
        lambda emit, node: f"CAST({times.local(emit, exp.CurrentTimestamp(), node.this)} AS DATE)",
        "this",
    ),
    exp.Cast: (times.typed_literal, "this to"),
    exp.Count: (values.count, "this"),
    exp.CountIf: (lambda emit, node: f"count(CASE WHEN {emit(node.this)} THEN 1 END)", "this"),
    exp.Sum: (values.call("sum", "this"), "this"),
    exp.LogicalAnd: (values.call("bool_and", "this"), "this"),
    exp.LogicalOr: (values.call("bool_or", "this"), "this"),
}
"""How each expression is written for DuckDB, and the arguments that this takes into account."""

IMPLIED = frozenset(
    {
        "safe",
        "coalesce",
        "big_int",
        "ignore_nulls",
        "with_tz",
        "null_if_pos_overflow",
        "null_if_no_match",
        "group",
        "binary",
        "offset",
        "date_part_boundary",
    }
)
"""Arguments by which the parser records BigQuery's own rules."""
