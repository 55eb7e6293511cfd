"""The allow-list: how each expression is written for DuckDB. Whatever is not named here is refused.

Where the two differ in NULL, NaN, rounding or time zones, the text for DuckDB spells out what BigQuery
documents.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlglot import exp

from backfilld.daemon.warehouses.lake.bigquery_transpiler import comparisons, operators_and_functions, times
from backfilld.daemon.warehouses.lake.bigquery_transpiler.quoting_and_refusal import Writer

EXPRESSIONS: Mapping[type[exp.Expr], tuple[Writer, str]] = {
    exp.EQ: (comparisons.comparison("="), "this expression"),
    exp.NEQ: (comparisons.comparison("<>"), "this expression"),
    exp.LT: (comparisons.comparison("<"), "this expression"),
    exp.LTE: (comparisons.comparison("<="), "this expression"),
    exp.GT: (comparisons.comparison(">"), "this expression"),
    exp.GTE: (comparisons.comparison(">="), "this expression"),
    exp.And: (operators_and_functions.operator("AND"), "this expression"),
    exp.Or: (operators_and_functions.operator("OR"), "this expression"),
    exp.Not: (lambda emit, node: f"(NOT {emit(node.this)})", "this"),
    exp.Paren: (lambda emit, node: f"({emit(node.this)})", "this"),
    exp.Neg: (lambda emit, node: f"(- {emit(node.this)})", "this"),
    exp.Add: (times.plus_or_minus("+"), "this expression"),
    exp.Sub: (times.plus_or_minus("-"), "this expression"),
    exp.Mul: (operators_and_functions.operator("*"), "this expression"),
    exp.DPipe: (operators_and_functions.operator("||"), "this expression safe"),
    exp.Between: (comparisons.between, "this low high"),
    exp.In: (comparisons.in_values, "this expressions unnest"),
    exp.Is: (comparisons.is_value, "this expression"),
    exp.Like: (comparisons.like, "this expression negate"),
    exp.Boolean: (lambda emit, node: "TRUE" if node.this else "FALSE", "this"),
    exp.Null: (lambda emit, node: "NULL", ""),
    exp.Literal: (lambda emit, node: operators_and_functions.literal(node), "this is_string"),
    exp.RawString: (lambda emit, node: operators_and_functions.literal(node), "this"),
    exp.Column: (lambda emit, node: operators_and_functions.column(node), "this table db catalog"),
    exp.Parameter: (lambda emit, node: f"${node.name}", "this"),
    exp.If: (operators_and_functions.if_, "this true false"),
    exp.Case: (operators_and_functions.case, "this ifs default"),
    exp.Coalesce: (
        lambda emit, node: f"coalesce({', '.join(map(emit, (node.this, *node.expressions)))})",
        "this expressions",
    ),
    exp.Nullif: (operators_and_functions.nullif, "this expression"),
    exp.Greatest: (operators_and_functions.greatest, "this expressions"),
    exp.Abs: (operators_and_functions.call("abs", "this"), "this"),
    exp.Round: (lambda emit, node: f"round(CAST({emit(node.this)} AS DOUBLE))", "this"),
    exp.SafeDivide: (operators_and_functions.safe_divide, "this expression"),
    exp.IntDiv: (operators_and_functions.by_constant("//"), "this expression"),
    exp.Mod: (operators_and_functions.by_constant("%"), "this expression"),
    exp.IsNan: (
        lambda emit, node: (
            f"(CASE WHEN {emit(node.this)} IS NULL THEN NULL ELSE {comparisons.is_nan(emit(node.this))} END)"
        ),
        "this",
    ),
    exp.Lower: (operators_and_functions.of_ascii("lower"), "this"),
    exp.Upper: (operators_and_functions.of_ascii("upper"), "this"),
    exp.Length: (operators_and_functions.call("length", "this"), "this"),
    exp.StartsWith: (operators_and_functions.call("starts_with", "this", "expression"), "this expression"),
    exp.EndsWith: (operators_and_functions.call("ends_with", "this", "expression"), "this expression"),
    exp.StrPosition: (operators_and_functions.call("strpos", "this", "substr"), "this substr"),
    exp.Substring: (operators_and_functions.substring, "this start length"),
    exp.Concat: (
        lambda emit, node: f"({' || '.join(map(emit, node.expressions))})",
        "expressions",
    ),
    exp.RegexpLike: (operators_and_functions.matches, "this expression"),
    exp.RegexpExtract: (operators_and_functions.extracted, "this expression"),
    exp.Bracket: (operators_and_functions.bracket, "this expressions"),
    exp.Split: (operators_and_functions.split, "this expression"),
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
    exp.Count: (operators_and_functions.count, "this"),
    exp.CountIf: (lambda emit, node: f"count(CASE WHEN {emit(node.this)} THEN 1 END)", "this"),
    exp.Sum: (operators_and_functions.call("sum", "this"), "this"),
    exp.LogicalAnd: (operators_and_functions.call("bool_and", "this"), "this"),
    exp.LogicalOr: (operators_and_functions.call("bool_or", "this"), "this"),
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
