"""Field types of requests and responses: strict when parsed, plain when serialized."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import re
import unicodedata
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer
from pydantic.json_schema import WithJsonSchema
from pydantic_core import PydanticCustomError

from backfilld.daemon.engine.enqueue_models import EARLIEST, LATEST, MOST_DATES

LARGEST = 2**63 - 1
"""Largest offset into a log."""
LARGEST_ID = 2**31 - 1
"""Largest id of the state database: a larger one is an error in PostgreSQL."""
DATE_PATTERN = r"^(19|20|21)[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$"


class ResponseModel(BaseModel):
    """A frozen response model. A field with a default is left out of the JSON unless it was set."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class ReportModel(ResponseModel):
    """A response model that validates records and result types of state and daemon by their attributes."""

    model_config = ConfigDict(from_attributes=True)

    @classmethod
    def plain(cls, value: object) -> dict[str, Any]:
        """The value as JSON-compatible data."""
        return cls.model_validate(value).model_dump(mode="json")


class BackfillStatus(StrEnum):
    """Status of a backfill."""

    ACTIVE = "active"
    """Its dates are processed."""
    STUCK = "stuck"
    """It cannot move by itself: each live date waits for a failed date, a hold, a check or an operator."""
    PAUSING = "pausing"
    """Paused, with jobs that still run to their end."""
    PAUSED = "paused"
    """It starts no job until it is resumed."""
    CANCELLING = "cancelling"
    """Cancelled, with jobs that are being stopped."""
    CANCELLED = "cancelled"
    """Cancelled: its unfinished dates failed."""
    STOPPED = "stopped"
    """`max_failures` dates failed: it starts no job until it is resumed or retried."""
    FINISHED = "finished"
    """All its dates have ended, done or failed."""


def fault(field: str, message: str) -> PydanticCustomError:
    """A validation error of a whole model that names the field at fault."""
    return PydanticCustomError("fault", "{message}", {"field": field, "message": message})


def plain_date(value: object) -> dt.date:
    """Parse a date from `YYYY-MM-DD`, and from no other format.

    Raises:
        ValueError: another format, a date that does not exist, or one outside EARLIEST and LATEST.
    """
    if not isinstance(value, str) or not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
        raise ValueError("is not a date; write it YYYY-MM-DD")
    try:
        date = dt.date.fromisoformat(value)
    except ValueError:
        raise ValueError(f"there is no date {value}") from None
    if not EARLIEST <= date <= LATEST:
        raise ValueError(f"{value} is not within {EARLIEST} and {LATEST}")
    return date


def whole_number(value: object) -> int:
    """Parse an integer of a URL: an optional minus and up to 19 digits, the first one not 0.

    Raises:
        ValueError: anything else.
    """
    if not isinstance(value, str) or not re.fullmatch(r"0|-?[1-9][0-9]{0,18}", value):
        raise ValueError("is not a whole number of up to 19 digits, without leading zeros")
    return int(value)


def boolean(value: object) -> bool:
    """Parse `true` or `false` of a URL.

    Raises:
        ValueError: anything else.
    """
    if value not in ("true", "false"):
        raise ValueError("is neither true nor false")
    return value == "true"


def readable(text: str) -> str:
    """The text.

    Raises:
        ValueError: it has control characters other than line breaks and tabs.
    """
    for character in text:
        if unicodedata.category(character) in ("Cc", "Cs") and character not in "\n\t":
            raise ValueError(f"has the control character U+{ord(character):04X}")
    return text


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("is empty; say why")
    return text


def iso(at: float) -> str:
    """Epoch seconds as ISO 8601 in UTC, to the millisecond."""
    text = dt.datetime.fromtimestamp(at, dt.UTC).isoformat(timespec="milliseconds")
    return text.removesuffix("+00:00") + "Z"


def next_cursor(key: Literal["id", "date"], rows: Sequence[object], limit: int) -> str | None:
    """The opaque cursor of the next page, after the first `limit` of `rows`; None for the last page.

    `rows` were queried with `limit + 1`, so one more row means one more page. `key` is the sort column.
    """
    if len(rows) <= limit:
        return None
    text = f"{key}:{getattr(rows[limit - 1], key)}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _decoder(key: str, parse: Callable[[str], Any]) -> Callable[[object], Any]:
    def decode(value: object) -> Any:
        try:
            text = str(value)
            plain = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
            sort_key, _, position = plain.decode("ascii").partition(":")
            if sort_key == key:
                return parse(position)
        except (binascii.Error, ValueError):
            pass
        raise ValueError("is not a cursor of this list; take it from next_cursor")

    return decode


def _row_id(text: str) -> int:
    number = whole_number(text)
    if not 1 <= number <= LARGEST_ID:
        raise ValueError("outside the range of row ids")
    return number


_CURSOR_SCHEMA = WithJsonSchema({"type": "string", "description": "next_cursor of the previous page"})

PlainDate = Annotated[
    dt.date,
    BeforeValidator(plain_date),
    WithJsonSchema({"type": "string", "format": "date", "pattern": DATE_PATTERN}, mode="validation"),
]
"""A date of a request."""
DateList = Annotated[tuple[PlainDate, ...], Field(min_length=1, max_length=MOST_DATES, strict=False)]
"""The dates of a request, one by one."""
Id = Annotated[int, Field(ge=1, le=LARGEST_ID), BeforeValidator(whole_number)]
"""The number of a backfill or an attempt, in a URL."""
Limit = Annotated[int, Field(ge=1, le=1000), BeforeValidator(whole_number)]
"""Items of one page."""
Flag = Annotated[bool, BeforeValidator(boolean)]
"""True or false, in a query."""
Lines = Annotated[int, Field(ge=0, le=100_000), BeforeValidator(whole_number)]
"""Lines of a log."""
Bytes = Annotated[int, Field(ge=0, le=LARGEST), BeforeValidator(whole_number)]
"""An offset into a log, or a length, in bytes."""
Text = Annotated[str, Field(max_length=500), AfterValidator(readable)]
Reason = Annotated[
    str,
    Field(max_length=500, json_schema_extra={"minLength": 1}),
    AfterValidator(readable),
    AfterValidator(_not_blank),
]
"""Why a client changes something: not blank."""
DateCursor = Annotated[dt.date, BeforeValidator(_decoder("date", plain_date)), _CURSOR_SCHEMA]
"""The date after which a page begins."""
NumberCursor = Annotated[int, BeforeValidator(_decoder("id", _row_id)), _CURSOR_SCHEMA]
"""The id below which a page begins."""
Time = Annotated[
    float,
    PlainSerializer(iso, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}, mode="serialization"),
]
"""Epoch seconds in Python, ISO 8601 in UTC in JSON."""
