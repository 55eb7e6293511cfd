"""SQL of the pipeline file within the product's own queries. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable

from sqlglot import exp

from backfilld.state.pipeline.sql_parameters import replace_parameters

_MARK = "written in the pipeline file"
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_PARAMETER = re.compile(r"start|end|date\d*")
"""The parameters of SQL of the pipeline file."""


def user_sql(text: str) -> exp.Expr:
    """A predicate or a query of the pipeline file as part of a query. It is rendered as it was written."""
    node = exp.var(text)
    node.meta[_MARK] = True
    return node


def bracketed(text: str) -> exp.Expr:
    """A predicate or a query of the pipeline file in brackets, as part of a query."""
    # On lines of its own: a comment at its end must not swallow the bracket.
    return exp.Paren(this=user_sql(f"\n{text}\n"))


def user_texts(tree: exp.Expr) -> list[str]:
    """The SQL of the pipeline file in a query."""
    return [node.name for node in tree.find_all(exp.Var) if node.meta.get(_MARK)]


def with_user_sql(tree: exp.Expr, change: Callable[[str], str]) -> exp.Expr:
    """A copy of a query in which SQL of the pipeline file is changed."""

    def changed(node: exp.Expr) -> exp.Expr:
        return user_sql(change(node.name)) if node.meta.get(_MARK) else node

    return tree.transform(changed)


def is_date_parameter(name: str) -> bool:
    """Whether a name after an `@` is that of a parameter, and not a warehouse's own."""
    return _PARAMETER.fullmatch(name) is not None


def with_parameters(text: str, before: str, after: str = "") -> str:
    """The text with its parameters in the warehouse's own writing, such as `$start` or `%(start)s`."""
    return replace_parameters(
        text, lambda name: f"{before}{name}{after}" if is_date_parameter(name) else f"@{name}"
    )


def named_parameters(text: str) -> set[str]:
    """The parameters of a text in which they are written with a `$`."""
    return {name for name in re.findall(r"\$(\w+)", text) if is_date_parameter(name)}


def strip_colors(text: str) -> str:
    """A parser's error without the colours of a terminal."""
    return _ANSI.sub("", text)
