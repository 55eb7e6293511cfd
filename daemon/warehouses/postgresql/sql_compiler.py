"""The product's queries in PostgreSQL's SQL. SQL of the pipeline file stays as it was written. Pure.

PostgreSQL has no cast that gives NULL for a text of another type: a pattern is checked before the cast.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

from sqlglot import exp

from backfilld.daemon.warehouses.sql.evidence_queries import CACHED, NOT_BLANK, Query, Statement
from backfilld.daemon.warehouses.sql.fragment_embedding import with_parameters, with_user_sql

_MOMENT = r"^\d{4,6}-\d\d-\d\d"
"""Texts that begin with a date, as times do in the format ISO; `infinity` is none."""
_NOT_BLANK = r"[^\t-\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]"
"""`NOT_BLANK` in escapes, which a database in any encoding takes."""


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


def _moment_where_possible(cast: exp.Expr) -> exp.Expr:
    text = exp.cast(cast.this.copy(), "TEXT")
    matches = exp.RegexpLike(this=text, expression=exp.Literal.string(_MOMENT))
    return exp.Case(ifs=[exp.If(this=matches, true=exp.cast(text.copy(), "TIMESTAMPTZ"))])


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
    exp.TryCast: _moment_where_possible,
    exp.UnixMicros: _unix_micros,
    exp.JSONFormat: _json_text,
    exp.Date: _date,
    exp.RegexpLike: _regexp_like,
}
