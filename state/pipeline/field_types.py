"""Types of values that several tables of the pipeline file share."""

from __future__ import annotations

import re
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from backfilld.state.pipeline.durations import parse_duration

IDENTIFIER = r"^[A-Za-z_][A-Za-z0-9_]*$"

COLUMN = r"^[^\W\d]\w*$"
"""The name of a column, with letters of any language. It is quoted in every query."""

Column = Annotated[str, Field(pattern=COLUMN)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=80)]
"""The name of a pipeline, a phase or a processor."""
Share = Annotated[float, Field(gt=0, le=1)]


def _pair(value: object) -> object:
    """`[min]` and `[min, max]` as a pair."""
    if not isinstance(value, list) or len(value) not in (1, 2):
        raise PydanticCustomError("range", "is not a range; write [min] or [min, max]")
    return (value[0], value[1] if len(value) == 2 else None)


def check_order(bounds: tuple[float, float | None]) -> tuple[float, float | None]:
    """The bounds as they are.

    Raises:
        ValueError: no number lies within them.
    """
    if bounds[1] is not None and bounds[0] > bounds[1]:
        raise ValueError(f"can never hold: the minimum {bounds[0]} is above the maximum {bounds[1]}")
    return bounds


Bounds = Annotated[
    tuple[Annotated[int, Field(ge=0)], int | None], BeforeValidator(_pair), AfterValidator(check_order)
]
"""`[min]` or `[min, max]`, both included; the maximum is None without one."""


def check_zone(name: str) -> str:
    """The name of a time zone as it is.

    Raises:
        ValueError: there is none of that name.
    """
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"unknown time zone {name!r}; use a name such as America/New_York") from None
    return name


TimeZone = Annotated[str, AfterValidator(check_zone)]
"""The name of a time zone."""


def parse_size(text: object) -> object:
    """`"64KB"`, `"100MB"` or `"1GB"` in bytes, with units of 1,000.

    Raises:
        ValueError: the text is not a size.
    """
    match = re.fullmatch(r"(\d+)(KB|MB|GB|TB)", text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f'{text!r} is not a size; write it like "100MB" or "1GB"')
    return int(match[1]) * 1000 ** (1 + ("KB", "MB", "GB", "TB").index(match[2]))


def _some_time(seconds: float) -> float:
    if not seconds:
        raise ValueError("ends the command at once; write a longer time")
    return seconds


Duration = Annotated[float, BeforeValidator(parse_duration)]
TimeLimit = Annotated[Duration, AfterValidator(_some_time)]
"""How long a command may run; more than 0."""
Size = Annotated[int, BeforeValidator(parse_size)]
TableName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+){1,2}$")]

OutputTable = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+){1,2}\*?$")]
"""A table, or all tables whose names begin so: `dataset.events_*`."""
