"""The kinds of columns and indexes that the tables of the state database are made of."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, Integer, Text, TextClause, text

BIG = Integer().with_variant(BigInteger(), "postgresql")
"""An integer that may exceed 2^31. SQLite stores 64 bits in any integer column."""


def flag(name: str) -> Column[int]:
    """A column of 0 or 1, by default 0."""
    return Column(name, Integer, CheckConstraint(f"{name} IN (0, 1)"), nullable=False, server_default="0")


def text_column(name: str) -> Column[str]:
    """A text column, by default empty, never NULL."""
    return Column(name, Text, nullable=False, server_default="")


def count(name: str) -> Column[int]:
    """An integer column, by default 0."""
    return Column(name, Integer, nullable=False, server_default="0")


def partial_index(name: str, *columns: str | TextClause, where: str, unique: bool = False) -> Index:
    """An index of the rows that satisfy `where`."""
    return Index(name, *columns, unique=unique, sqlite_where=text(where), postgresql_where=text(where))
