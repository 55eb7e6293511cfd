"""What the writers of expressions share: how one is refused."""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from backfilld.state.base_errors import BackfilldError

Emit = Callable[[exp.Expr], str]
"""The text of an expression for DuckDB."""

Writer = Callable[[Emit, exp.Expr], str]
"""Writes an expression of one type for DuckDB, with the texts of its parts."""


class NotExactError(BackfilldError):
    """An expression that is not carried exactly; its text is that of the expression in BigQuery's SQL."""

    def __init__(self, node: exp.Expr) -> None:
        super().__init__(" ".join(node.sql("bigquery").split()))


def quoted(name: str) -> str:
    """A name in quotes."""
    return '"' + name.replace('"', '""') + '"'


def quoted_text(text: str) -> str:
    """A text in quotes. DuckDB's texts have no escapes."""
    return "'" + text.replace("'", "''") + "'"


def require(node: exp.Expr, exact: bool) -> None:
    """Refuse an expression that is not carried exactly.

    Raises:
        NotExactError: it is not.
    """
    if not exact:
        raise NotExactError(node)


def is_constant(node: exp.Expr) -> bool:
    """Whether an expression is a literal."""
    return isinstance(
        node.this if isinstance(node, exp.Neg) else node, exp.Literal | exp.RawString | exp.Null
    )
