"""Results as plain dicts, lists and texts: what JSON can carry, and what people read."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

HIDDEN: Mapping[str, bool] = {"hidden": True}
"""Metadata of a dataclass field that is no part of the result's public shape."""


def clock(at: float) -> str:
    """Epoch seconds as people read them, in UTC, to the second."""
    return dt.datetime.fromtimestamp(at, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def counted(n: int, noun: str) -> str:
    """A number of things: 1 date, 3 dates."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def first_few(words: Sequence[str], most: int, between: str = ", ") -> str:
    """The first of some words, and how many more there are."""
    more = f" and {len(words) - most} more" if len(words) > most else ""
    return between.join(words[:most]) + more


def storable(text: str) -> str:
    """Somebody else's text without what no database keeps: NUL characters, and halves of surrogate pairs."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def one_line(message: str) -> str:
    """The first line of somebody else's error: what follows repeats the query or the address."""
    lines = [line.strip() for line in storable(message).splitlines() if line.strip()]
    return lines[0][:300] if lines else "no message"


def plain(value: Any) -> Any:
    """Dataclasses as dicts by their field names, dates in ISO form, enums as their values."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        shown = (field for field in dataclasses.fields(value) if not field.metadata.get("hidden"))
        return {field.name: plain(getattr(value, field.name)) for field in shown}
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, dt.date | Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(plain(key)): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    return value
