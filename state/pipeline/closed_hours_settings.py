"""Windows, `[[window]]`: hours during which no job starts."""

from __future__ import annotations

import datetime as dt
import re
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field

from backfilld.state.pipeline.field_types import Name, TimeZone
from backfilld.state.pipeline.strict_model import StrictModel
from backfilld.state.rules.closed_hours import ClosedHours
from backfilld.state.rules.recurring_days import WEEKDAYS, Weekday


def _parse_time(text: object) -> object:
    """`"22:00"` as a time of day.

    Raises:
        ValueError: the text is not a time of day.
    """
    match = re.fullmatch(r"([01]\d|2[0-3]):([0-5]\d)", text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f'{text!r} is not a time of day; write it like "08:00" or "22:30", in quotes')
    return dt.time(int(match[1]), int(match[2]))


TimeOfDay = Annotated[dt.time, BeforeValidator(_parse_time)]


class WindowSettings(StrictModel):
    """Hours during which no job starts: of some processors, of pools, or of all. Running jobs go on."""

    name: Name
    """What it is called where a date waits for it."""
    closes: TimeOfDay
    """When it closes, such as `"08:00"`."""
    opens: TimeOfDay
    """When it opens again; on the next day where that is not later than `closes`."""
    timezone: TimeZone | None = None
    """The time zone of both; without it, the pipeline's."""
    weekdays: tuple[Weekday, ...] = Field(default=(), min_length=1, strict=False)
    """The days of the week on which it closes, `"mon"` to `"sun"`; without it, each day."""
    processors: tuple[Name, ...] = Field(default=(), min_length=1, strict=False)
    """The processors that it is for."""
    pools: tuple[Name, ...] = Field(default=(), min_length=1, strict=False)
    """The pools whose processors it is for. Without `processors` and `pools`, it is for all processors."""

    def closed_hours(self, timezone: str) -> ClosedHours:
        """Its hours; `timezone` is the pipeline's."""
        return ClosedHours(
            name=self.name,
            closes=self.closes,
            opens=self.opens,
            zone=ZoneInfo(self.timezone or timezone),
            weekdays=frozenset(self.weekdays or WEEKDAYS),
        )

    def concerns(self, processor: str, pool: str | None) -> bool:
        """Whether it is for a processor with this pool."""
        return processor in self.processors or pool in self.pools or not (self.processors or self.pools)
