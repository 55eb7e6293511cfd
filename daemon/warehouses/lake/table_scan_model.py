"""The files of a table, and how DuckDB reads them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["hive", "mapped", "column"]
"""How a date is known: by DuckDB from a directory's name, by `TableFiles.dates`, or by a column."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableFiles:
    """The files of some dates of a table; `dates` has the date of each file where `kind` is `mapped`."""

    kind: Kind
    files: Sequence[str]
    dates: Sequence[dt.date] = ()
    schema: str = ""
    """The columns by field id, as DuckDB's option `schema`; empty where columns are known by name."""
    deletes: Sequence[str] = ()
    """The files with positions of deleted rows."""
    names: Sequence[str] = ()
    """The name of each file in `deletes`."""
    absent: Sequence[tuple[str, str]] = ()
    """Names and types of columns that other files of the table have: they are read as NULL."""
