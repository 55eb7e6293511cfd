"""Dates, instants and time zones."""

from __future__ import annotations

import re
from zoneinfo import available_timezones

from sqlglot import exp

from backfilld.daemon.warehouses.lake.bigquery_transpiler.quoting_and_refusal import (
    Emit,
    NotExactError,
    Writer,
    require,
)

_DAYS = re.compile(r"\d{1,7}")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}([ T]\d{2}:\d{2}:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}:\d{2})?")
_DATETIME = re.compile(r"\d{4}-\d{2}-\d{2}([ T]\d{2}:\d{2}:\d{2}(\.\d{1,6})?)?")
_PARTS = {
    **dict.fromkeys(("YEAR", "QUARTER", "MONTH", "DAY", "HOUR", "MINUTE", "SECOND", "ISOYEAR"), ""),
    "ISOWEEK": "week",
    "DAYOFYEAR": "doy",
}
_MICROSECONDS = {
    "MICROSECOND": 1,
    "MILLISECOND": 1000,
    "SECOND": 10**6,
    "MINUTE": 60 * 10**6,
    "HOUR": 3600 * 10**6,
    "DAY": 86_400 * 10**6,
}
_DATE_UNITS = {unit: unit.lower() for unit in ("DAY", "MONTH", "QUARTER", "YEAR")}

_DATES = (exp.Parameter, exp.Date, exp.CurrentDate, exp.DateAdd, exp.DateSub, exp.DateTrunc)
"""Expressions that are a DATE; so are all parameters."""

DATE_COLUMN = "named as a date column of the pipeline file"
"""What a column is marked with that is a DATE by its name, unless it is another table's."""


def instant(emit: Emit, node: exp.Expr) -> str:
    """An expression as an instant; without a zone it is in UTC."""
    return f"CAST({emit(node)} AS TIMESTAMPTZ)"


def local(emit: Emit, value: exp.Expr, zone: exp.Expr | None) -> str:
    """An instant in a time zone, UTC by default."""
    name = "UTC" if zone is None else str(zone.this)
    if name not in available_timezones():
        raise NotExactError(zone or value)
    return f"({instant(emit, value)} AT TIME ZONE '{name}')"


def date(emit: Emit, node: exp.Expr) -> str:
    """DATE(x) or DATE(x, 'zone')."""
    require(node, not node.expressions)
    return f"CAST({local(emit, node.this, node.args.get('zone'))} AS DATE)"


def extract(emit: Emit, node: exp.Expr) -> str:
    """EXTRACT(part FROM x), also AT TIME ZONE."""
    part, value = node.this.name.upper(), node.expression
    in_zone = isinstance(value, exp.AtTimeZone)
    text = local(emit, value.this, value.args["zone"]) if in_zone else emit(value)
    if part == "DATE":
        return f"CAST({text} AS DATE)"
    if part == "DAYOFWEEK":
        return f"(date_part('dow', {text}) + 1)"  # 1 is Sunday in BigQuery, 0 in DuckDB
    require(node, part in _PARTS)
    return f"date_part('{_PARTS[part] or part.lower()}', {text})"


def unit(node: exp.Expr) -> str:
    """The granularity that is written; a week that begins on Monday is an ISOWEEK."""
    stated = node.args.get("unit")
    if isinstance(stated, exp.WeekStart):
        return {"SUNDAY": "WEEK", "MONDAY": "ISOWEEK"}.get(stated.name, stated.name)
    return stated.name.upper() if stated else "DAY"


def date_diff(emit: Emit, node: exp.Expr) -> str:
    """The boundaries between two dates. DuckDB counts whole weeks, BigQuery the days on which one begins."""
    end, start = (f"CAST({emit(side)} AS DATE)" for side in (node.this, node.expression))
    by = unit(node)
    if by in ("WEEK", "ISOWEEK"):
        first, last = (_begin_of_week(day, by) for day in (start, end))
        return f"(date_diff('day', {first}, {last}) // 7)"
    require(node, by in _DATE_UNITS)
    return f"date_diff('{_DATE_UNITS[by]}', {start}, {end})"


def date_trunc(emit: Emit, node: exp.Expr) -> str:
    """The first date of a period. DuckDB's weeks begin on Monday, BigQuery's on Sunday."""
    value, by = f"CAST({emit(node.this)} AS DATE)", unit(node)
    if by in ("WEEK", "ISOWEEK"):
        return _begin_of_week(value, by)
    require(node, by in _DATE_UNITS)
    return f"CAST(date_trunc('{_DATE_UNITS[by]}', {value}) AS DATE)"


def _begin_of_week(date: str, unit: str) -> str:
    if unit == "WEEK":
        return f"(CAST(date_trunc('week', {date} + 1) AS DATE) - 1)"
    return f"CAST(date_trunc('week', {date}) AS DATE)"


def shifted(sign: str) -> Writer:
    """DATE_ADD and DATE_SUB by a whole number that is written."""

    def emitted(emit: Emit, node: exp.Expr) -> str:
        number, by = node.expression, unit(node)
        whole = isinstance(number, exp.Literal) and str(number.this).isdigit()
        require(node, whole and by in ("DAY", "WEEK", "MONTH", "QUARTER", "YEAR"))
        return f"CAST(CAST({emit(node.this)} AS DATE) {sign} INTERVAL '{number.this} {by.lower()}' AS DATE)"

    return emitted


def plus_or_minus(symbol: str) -> Writer:
    """+ and -, also of a DATE and days: DuckDB takes them as an INTEGER, where other numbers are BIGINT.

    What may be a number as well is written so only where both have the same answer.
    """

    def emitted(emit: Emit, node: exp.Expr) -> str:
        left, right = node.this, node.expression
        if symbol == "+" and _is_date(right, by_name=True):
            left, right = right, left
        # The difference of two dates is an INTERVAL in BigQuery, and a number of days in DuckDB.
        require(node, not _is_date(right, by_name=False))
        days = _whole(right)
        require(node, bool(days) or not _is_date(left, by_name=False))
        if days and _is_date(left, by_name=True):
            return f"({emit(left)} {symbol} CAST({days} AS INTEGER))"
        return f"({emit(node.this)} {symbol} {emit(node.expression)})"

    return emitted


def _is_date(node: exp.Expr, *, by_name: bool) -> bool:
    """Whether an expression is a DATE, for certain or also by the name of a column."""
    if isinstance(node, exp.Paren):
        return _is_date(node.this, by_name=by_name)
    if isinstance(node, exp.Add | exp.Sub):
        sides = [(node.this, node.expression)]
        sides += [(node.expression, node.this)] if isinstance(node, exp.Add) else []
        return any(_is_date(side, by_name=by_name) and bool(_whole(other)) for side, other in sides)
    if isinstance(node, exp.Column):
        return by_name and bool(node.meta.get(DATE_COLUMN))
    if isinstance(node, exp.Cast):
        return bool(node.args["to"].this == exp.DType.DATE)
    if isinstance(node, exp.Extract):
        return str(node.this.name).upper() == "DATE"
    return isinstance(node, _DATES)


def _whole(node: exp.Expr) -> str:
    """A whole number of up to 7 digits that is written, perhaps with a sign; empty for all else."""
    number = node.this if isinstance(node, exp.Neg) else node
    if not isinstance(number, exp.Literal) or number.is_string or not _DAYS.fullmatch(str(number.this)):
        return ""
    return f"-{number.this}" if number is not node else str(number.this)


def timestamp_diff(emit: Emit, node: exp.Expr) -> str:
    """Whole units between two instants, towards zero."""
    by = unit(node)
    require(node, by in _MICROSECONDS)
    micros = f"(epoch_us({instant(emit, node.this)}) - epoch_us({instant(emit, node.expression)}))"
    return f"(({micros} - {micros} % {_MICROSECONDS[by]}) // {_MICROSECONDS[by]})"


def typed_literal(emit: Emit, node: exp.Expr) -> str:
    """A typed literal, DATE '2024-03-01'. Of other casts the rules differ by the type that is cast."""
    kind, value = node.args["to"].this, node.this
    text = str(value.this) if isinstance(value, exp.Literal) and value.args.get("is_string") else ""
    if kind == exp.DType.DATE and _DATE.fullmatch(text):
        return f"DATE '{text}'"
    if kind == exp.DType.TIMESTAMPTZ and _INSTANT.fullmatch(text):
        return f"CAST('{text}' AS TIMESTAMPTZ)"
    if kind == exp.DType.TIMESTAMP and _DATETIME.fullmatch(text):
        return f"CAST('{text}' AS TIMESTAMP)"
    raise NotExactError(node)


def timestamp(emit: Emit, node: exp.Expr) -> str:
    """TIMESTAMP('text')."""
    text = node.this
    require(node, isinstance(text, exp.Literal) and bool(_INSTANT.fullmatch(str(text.this))))
    return instant(emit, text)
