"""The product's queries in PostgreSQL's SQL. SQL of the pipeline file stays as it was written. Pure.

PostgreSQL has no cast that gives NULL for a text of another type: a pattern is checked before the cast.
Numbers become NUMERIC, whose range is wider than that of DOUBLE PRECISION.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

from sqlglot import exp

from backfilld.daemon.warehouses.sql.evidence_queries import CACHED, NOT_BLANK, Query, Statement
from backfilld.daemon.warehouses.sql.fragment_embedding import with_parameters, with_user_sql

_NUMBER = r"^\s*([-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d{1,3})?|[Nn][Aa][Nn])\s*$"
"""Texts that are numbers. A bound of the digits in the pattern would make it 15 times as slow."""
_MAX_LENGTH = 1000
"""Of the texts that are cast, in characters: with three digits of exponent, within the bounds of NUMERIC."""
_MOMENT = r"^\d{4,6}-\d\d-\d\d"
"""Texts that begin with a date, as times do in the format ISO; `infinity` is none."""
_NOT_BLANK = r"[^\t-\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]"
"""`NOT_BLANK` in escapes, which a database in any encoding takes."""
_PATTERNS = {
    exp.DataType.Type.DOUBLE: (_NUMBER, "NUMERIC"),
    exp.DataType.Type.TIMESTAMPTZ: (_MOMENT, "TIMESTAMPTZ"),
}
"""By type of a cast that may fail: the texts that are cast, and to what."""


def text_of(query: Query) -> str:
    """The whole text, with parameters as psycopg writes them: `%(start)s`."""
    return "\nUNION ALL\n".join(_rendered(select.statement) for select in query.selects)


@lru_cache(maxsize=CACHED)
def _rendered(statement: Statement) -> str:
    tree = with_user_sql(statement.tree, lambda text: with_parameters(text.replace("%", "%%"), "%(", ")s"))
    return _adapted(tree).sql("postgres")


def _adapted(tree: exp.Expr) -> exp.Expr:
    """A copy of a query in the functions that PostgreSQL has."""
    return tree.transform(lambda node: _ADAPTED[type(node)](node) if type(node) in _ADAPTED else node)


def _parameter(parameter: exp.Expr) -> exp.Expr:
    return exp.var(f"%({parameter.name})s")


def _array(array: exp.Expr) -> exp.Expr:
    # Without the type, an empty one is an error.
    return exp.cast(exp.Array(expressions=[_adapted(part) for part in array.expressions]), "BIGINT[]")


def _cast_where_possible(cast: exp.Expr) -> exp.Expr:
    pattern, kind = _PATTERNS[cast.args["to"].this]
    text = exp.cast(cast.this.copy(), "TEXT")
    short = exp.LTE(this=exp.Length(this=text), expression=exp.Literal.number(_MAX_LENGTH))
    matches = exp.RegexpLike(this=text.copy(), expression=exp.Literal.string(pattern))
    return exp.Case(ifs=[exp.If(this=exp.and_(short, matches), true=exp.cast(text.copy(), kind))])


def _is_nan(test: exp.Expr) -> exp.Expr:
    nan = exp.cast(exp.Literal.string("NaN"), "NUMERIC")
    return exp.EQ(this=_adapted(test.this), expression=nan)


def _unix_micros(micros: exp.Expr) -> exp.Expr:
    seconds = exp.Extract(this=exp.var("EPOCH"), expression=_adapted(micros.this))
    return exp.cast(exp.Mul(this=seconds, expression=exp.Literal.number(1_000_000)), "BIGINT")


def _json_text(json: exp.Expr) -> exp.Expr:
    return exp.cast(exp.Anonymous(this="TO_JSON", expressions=[json.this.copy()]), "TEXT")


def _regexp_like(match: exp.Expr) -> exp.Expr:
    """PostgreSQL has no classes of Unicode, and what it calls a space depends on the locale."""
    pattern = exp.Literal.string(match.expression.name.replace(NOT_BLANK, _NOT_BLANK))
    return exp.RegexpLike(this=_adapted(match.this), expression=pattern)


def _date(date: exp.Expr) -> exp.Expr:
    local = exp.AtTimeZone(this=date.this.copy(), zone=date.args["zone"].copy())
    return exp.cast(local, "DATE")


_ADAPTED: Mapping[type[exp.Expr], Callable[[exp.Expr], exp.Expr]] = {
    exp.Parameter: _parameter,
    exp.Array: _array,
    exp.TryCast: _cast_where_possible,
    exp.IsNan: _is_nan,
    exp.UnixMicros: _unix_micros,
    exp.JSONFormat: _json_text,
    exp.Date: _date,
    exp.RegexpLike: _regexp_like,
}
