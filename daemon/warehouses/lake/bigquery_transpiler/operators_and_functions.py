"""Literals, columns, numbers, texts, arrays and counts."""

from __future__ import annotations

import re

from sqlglot import exp

from backfilld.daemon.warehouses.lake.bigquery_transpiler.comparisons import compare
from backfilld.daemon.warehouses.lake.bigquery_transpiler.quoting_and_refusal import (
    Emit,
    NotExactError,
    Writer,
    quoted,
    quoted_text,
    require,
)

_OPTIONAL_GROUP = re.compile(r"\||\)[?*{]")


def literal(node: exp.Expr) -> str:
    """A literal. Texts have no escapes in DuckDB, and a decimal is a FLOAT64 in BigQuery."""
    value = str(node.this)
    if not isinstance(node, exp.RawString) and not node.args.get("is_string"):
        return f"CAST({value} AS BIGINT)" if value.isdigit() else f"CAST('{value}' AS DOUBLE)"
    if "\\" in value and not isinstance(node, exp.RawString):
        raise NotExactError(node)  # an escape: a raw text, r'…', says which characters are meant
    return quoted_text(value)


def column(node: exp.Expr) -> str:
    """A column, or a field within one."""
    if isinstance(node.this, exp.Star):
        raise NotExactError(node)
    parts = node.parts if isinstance(node, exp.Column) else [node.this]
    return ".".join(quoted(part.name) for part in parts)


def case(emit: Emit, node: exp.Expr) -> str:
    """CASE with or without a subject."""
    subject, arms = node.args.get("this"), []
    for arm in node.args["ifs"]:
        condition = compare("=", emit, subject, arm.this) if subject else emit(arm.this)
        arms.append(f"WHEN {condition} THEN {emit(arm.args['true'])}")
    default = node.args.get("default")
    return f"(CASE {' '.join(arms)} ELSE {emit(default) if default else 'NULL'} END)"


def if_(emit: Emit, node: exp.Expr) -> str:
    """IF(condition, value, value)."""
    otherwise = node.args.get("false")
    default = emit(otherwise) if otherwise else "NULL"
    return f"(CASE WHEN {emit(node.this)} THEN {emit(node.args['true'])} ELSE {default} END)"


def nullif(emit: Emit, node: exp.Expr) -> str:
    """NULLIF by a comparison that knows NaN."""
    return (
        f"(CASE WHEN {compare('=', emit, node.this, node.expression)} THEN NULL ELSE {emit(node.this)} END)"
    )


def greatest(emit: Emit, node: exp.Expr) -> str:
    """NULL if any value is NULL; NaN is the largest in DuckDB, and what BigQuery answers for it."""
    values = [emit(value) for value in (node.this, *node.expressions)]
    null = " OR ".join(f"{value} IS NULL" for value in values)
    return f"(CASE WHEN {null} THEN NULL ELSE greatest({', '.join(values)}) END)"


def safe_divide(emit: Emit, node: exp.Expr) -> str:
    """SAFE_DIVIDE: NULL where the divisor is zero."""
    left, right = f"CAST({emit(node.this)} AS DOUBLE)", f"CAST({emit(node.expression)} AS DOUBLE)"
    return f"(CASE WHEN {right} = 0 THEN NULL ELSE {left} / {right} END)"


def by_constant(symbol: str) -> Writer:
    """An operation of whole numbers by a whole number that is not zero."""

    def emitted(emit: Emit, node: exp.Expr) -> str:
        divisor = node.expression
        constant = isinstance(divisor, exp.Literal) and str(divisor.this).isdigit() and int(divisor.this) != 0
        require(node, constant)
        number = f"CAST({emit(node.this)} AS BIGINT)"
        remainder = f"({number} % {divisor.this})"
        return remainder if symbol == "%" else f"(({number} - {remainder}) // {divisor.this})"

    return emitted


def of_ascii(name: str) -> Writer:
    """A function of texts that the two define alike for ASCII; other texts are an error, not a guess."""

    def emitted(emit: Emit, node: exp.Expr) -> str:
        text = emit(node.this)
        refusal = f"error('{name.upper()} of a text beyond ASCII is not carried from BigQuery')"
        return f"(CASE WHEN strlen({text}) > length({text}) THEN {refusal} ELSE {name}({text}) END)"

    return emitted


def substring(emit: Emit, node: exp.Expr) -> str:
    """SUBSTR from a position of 1 or more: at 0 and below the two differ."""
    numbers = [node.args[key] for key in ("start", "length") if node.args.get(key)]
    whole = all(isinstance(n, exp.Literal) and str(n.this).isdigit() for n in numbers)
    require(node, whole and int(numbers[0].this) >= 1)
    return f"substr({', '.join([emit(node.this), *(str(n.this) for n in numbers)])})"


def call(name: str, *keys: str) -> Writer:
    """A function of the same meaning, with its arguments in order."""

    def emitted(emit: Emit, node: exp.Expr) -> str:
        return f"{name}({', '.join(emit(node.args[key]) for key in keys)})"

    return emitted


def matches(emit: Emit, node: exp.Expr) -> str:
    """REGEXP_CONTAINS: both use RE2."""
    require(node, isinstance(node.expression, exp.Literal | exp.RawString))
    return f"regexp_matches({emit(node.this)}, {emit(node.expression)})"


def extracted(emit: Emit, node: exp.Expr) -> str:
    """The first group of a pattern, or all of it; NULL without a match, where DuckDB answers ''."""
    pattern = node.expression
    require(node, isinstance(pattern, exp.Literal | exp.RawString))
    try:
        groups = re.compile(str(pattern.this)).groups
    except re.error:
        raise NotExactError(node) from None
    require(node, groups <= 1 and not _OPTIONAL_GROUP.search(str(pattern.this)))
    text, expression = emit(node.this), emit(pattern)
    match = f"regexp_extract({text}, {expression}, {groups})"
    return f"(CASE WHEN regexp_matches({text}, {expression}) THEN {match} END)"


def bracket(emit: Emit, node: exp.Expr) -> str:
    """An element by SAFE_OFFSET or SAFE_ORDINAL: NULL where there is none."""
    (index,) = node.expressions
    exact = node.args.get("safe") is True and isinstance(index, exp.Literal) and str(index.this).isdigit()
    require(node, exact)
    return f"({emit(node.this)})[{int(index.this) - int(node.args.get('offset') or 0) + 1}]"


def split(emit: Emit, node: exp.Expr) -> str:
    """SPLIT by a delimiter that is written."""
    delimiter = node.expression
    require(node, isinstance(delimiter, exp.Literal) and bool(delimiter.this))
    return f"string_split({emit(node.this)}, {emit(delimiter)})"


def count(emit: Emit, node: exp.Expr) -> str:
    """COUNT of rows, values or different values."""
    counted = node.this
    if isinstance(counted, exp.Distinct):
        require(node, len(counted.expressions) == 1 and not counted.args.get("on"))
        return f"count(DISTINCT {emit(counted.expressions[0])})"
    return "count(*)" if isinstance(counted, exp.Star) else f"count({emit(counted)})"


def operator(symbol: str) -> Writer:
    """An operator of the same meaning."""
    return lambda emit, node: f"({emit(node.this)} {symbol} {emit(node.expression)})"
