"""Whether SQL of the pipeline file keeps to itself: it becomes a part of the product's own queries. Pure."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from functools import lru_cache

import sqlglot
from sqlglot import TokenType, exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import ParseError, TokenError

from backfilld.daemon.warehouses.sql import duckdb_parser
from backfilld.daemon.warehouses.sql.aggregate_validation import condition_problem, measure_problem
from backfilld.daemon.warehouses.sql.fragment_embedding import is_date_parameter, strip_colors
from backfilld.state.pipeline.base_warehouse_settings import SqlKind
from backfilld.state.pipeline.sql_parameters import parameter_names

_OPENED_BY = {
    TokenType.R_PAREN: TokenType.L_PAREN,
    TokenType.R_BRACKET: TokenType.L_BRACKET,
    TokenType.R_BRACE: TokenType.L_BRACE,
}
_TIMES = {
    TokenType.DATE,
    TokenType.TIME,
    TokenType.DATETIME,
    TokenType.TIMESTAMP,
    TokenType.TIMESTAMPNTZ,
    TokenType.TIMESTAMPTZ,
}
_CACHED = 4096
_IS_QUERY = re.compile(r"\s*(SELECT|WITH|FROM)\b", re.IGNORECASE)
_QUERY_STARTS = ("SELECT", "WITH", "FROM", "VALUES", "TABLE", "(")
_WRITES = ("INSERT", "UPDATE", "DELETE", "MERGE")
_CLASS = re.compile(r"<class '(?:\w+\.)*(\w+)'>")
"""How an error of sqlglot names a kind of expression."""
_Words = Sequence[tuple[TokenType, str]]


@lru_cache(maxsize=_CACHED)
def syntax_problem(text: str, dialect: str, kind: SqlKind) -> str:
    """What keeps a text from being one condition, measure or query of a dialect; empty where nothing does.

    A query is sent almost as it was written: of it only quotes, brackets and semicolons are checked. An
    expression is put between brackets, and has to parse alone as well as there.
    """
    try:
        tokens = Dialect.get_or_raise(dialect).tokenize(text)
    except TokenError:
        return "has a quote or a comment that is not closed; close it"
    if kind != "query" and any(token.comments for token in tokens):
        return "has a comment, which could hide what follows; write it after a # outside of the text"
    words = [(token.token_type, token.text) for token in tokens]
    if kind == "query" and words and words[-1][0] is TokenType.SEMICOLON:
        words.pop()
    if not words:
        return "has no SQL; fill it in"
    if any(word is TokenType.SEMICOLON for word, _ in words):
        noun = "query" if kind == "query" else "expression"
        return f"has a semicolon, and must be one {noun}; remove it"
    is_query = kind == "query" or _IS_QUERY.match(text) is not None
    problem = _bracket_problem(words, commas=is_query)
    if problem or kind == "query":
        return problem or _statement_problem(words) or _typed_parameter_problem(words)
    return _parameter_problem(text) or _parse_problem(text, dialect, kind)


def _bracket_problem(words: _Words, *, commas: bool) -> str:
    """Whether brackets are not in pairs, or without `commas`, a comma is in none."""
    opened: list[tuple[TokenType, str]] = []
    for word, text in words:
        if word in _OPENED_BY.values():
            opened.append((word, text))
        opener = _OPENED_BY.get(word)
        if opener and (not opened or opened.pop()[0] is not opener):
            return f"closes a bracket with {text} that it does not open; correct its brackets"
        if word is TokenType.COMMA and not opened and not commas:
            return "is more than one expression: it has a comma outside of brackets; write one"
    return f"opens a bracket with {opened[-1][1]} and does not close it; close it" if opened else ""


def _statement_problem(words: _Words) -> str:
    """Whether a query is another statement than one that reads, or has one that writes within it."""
    texts = [text.upper() for _, text in words]
    if texts[0] not in _QUERY_STARTS:
        return f"is no query: it begins with {words[0][1]}; write one SELECT"
    for before, text in itertools.pairwise(texts):
        if text in _WRITES and (before == ")" or (before == "(" and texts[0] == "WITH")):
            return f"is no query: it has a {text}, which changes a table; write one SELECT"
    return ""


def _typed_parameter_problem(words: _Words) -> str:
    """Which parameter of dates stands where a typed literal such as DATE '2024-03-01' has its text."""
    for (kind, text), (sign, _), (_, name) in zip(words, words[1:], words[2:], strict=False):
        if kind in _TIMES and sign is TokenType.PARAMETER and is_date_parameter(name):
            return f"has {text} @{name}, and @{name} is a DATE already; write @{name} alone"
    return ""


def _parameter_problem(text: str) -> str:
    """Which parameter of dates an expression names. It is evaluated for many dates at once."""
    name = next(filter(is_date_parameter, parameter_names(text)), None)
    return (
        f"has the parameter @{name}, which only whole queries have; compare with the column of dates,"
        " or write expect.no_rows"
        if name
        else ""
    )


def _parse_problem(text: str, dialect: str, kind: SqlKind) -> str:
    """Why a text is no expression. It must be one alone, and in brackets, where no clause can follow."""
    alone = text if _IS_QUERY.match(text) else f"SELECT 1 WHERE {text}"
    for query in (alone, _in_brackets(text)):
        if dialect == "duckdb":  # whose own parser is here, and knows its reserved words
            error = _duckdb_error(query)
        else:
            parsed = _parsed(query, dialect)
            error = parsed if isinstance(parsed, str) else ""
        if error:
            return f"is not one expression of the SQL of {dialect}: {error}; correct it"
    return _kind_problem(text, dialect, kind)


def _kind_problem(text: str, dialect: str, kind: SqlKind) -> str:
    """Why an expression is no condition, or no measure; empty where sqlglot cannot read it."""
    parsed = _parsed(_in_brackets(text), dialect)
    where = parsed.find(exp.Where) if isinstance(parsed, exp.Expr) else None
    problem = condition_problem if kind == "condition" else measure_problem
    return problem(where.this, dialect) if where else ""


def _in_brackets(text: str) -> str:
    return f"SELECT 1 WHERE ({text})"


@lru_cache(maxsize=2)
def _parsed(query: str, dialect: str) -> exp.Expr | str:
    """A query, or what sqlglot says against it."""
    try:
        return sqlglot.parse_one(query, read=dialect)
    except ParseError as error:
        words = strip_colors(str(error.errors[0].get("description") if error.errors else error))
        return _CLASS.sub(r"\1", words).partition(" but got <")[0].rstrip(".")


def _duckdb_error(query: str) -> str:
    """What DuckDB's own parser says against a query."""
    tree, error = duckdb_parser.parse(query)
    if error:
        return error
    return "a parameter such as ? or $1 has no value here" if _has_parameter(tree) else ""


def _has_parameter(node: object) -> bool:
    """Whether a parameter is anywhere in a parsed query."""
    if isinstance(node, dict):
        return node.get("class") == "PARAMETER" or any(map(_has_parameter, node.values()))
    return isinstance(node, list) and any(map(_has_parameter, node))
