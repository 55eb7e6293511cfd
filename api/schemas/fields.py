"""Kinds of values in requests and answers: strict on the way in, plain on the way out."""

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

from backfilld.daemon.engine.enqueue import EARLIEST, LATEST

LARGEST = 2**63 - 1
"""What an integer of the state database can hold."""
DATE_PATTERN = r"^(19|20|21)[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$"


class ResponseModel(BaseModel):
    """A frozen model of an answer. A field with a default is left out unless it was given."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ReportModel(ResponseModel):
    """A part of a report, read from the value that the daemon made."""

    model_config = ConfigDict(from_attributes=True)

    @classmethod
    def plain(cls, made: object) -> dict[str, Any]:
        """What the daemon made as plain data: what JSON can carry."""
        return cls.model_validate(made).model_dump(mode="json")


class BackfillStatus(StrEnum):
    """Where a backfill stands."""

    ACTIVE = "active"
    """Its dates move."""
    PAUSING = "pausing"
    """Paused, while jobs of it run to their end."""
    PAUSED = "paused"
    """It starts nothing until somebody resumes it."""
    CANCELLING = "cancelling"
    """Cancelled, while its jobs are ended."""
    CANCELLED = "cancelled"
    """Cancelled: its unfinished dates failed."""
    STOPPED = "stopped"
    """It starts nothing, as `max_failures` dates failed, until somebody resumes or retries it."""
    FINISHED = "finished"
    """All its dates have ended, well or not."""


def fault(field: str, message: str) -> PydanticCustomError:
    """An error of a whole model that names the field at fault."""
    return PydanticCustomError("fault", "{message}", {"field": field, "message": message})


def plain_date(value: object) -> dt.date:
    """A date from `YYYY-MM-DD`, and from nothing else.

    Raises:
        ValueError: it is not written so, does not exist, or lies beyond what is taken.
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
    """An integer as a URL has it: digits, at most as large as the state database can hold."""
    if not isinstance(value, str) or not re.fullmatch(r"-?[0-9]{1,19}", value):
        raise ValueError("is not a whole number")
    return int(value)


def boolean(value: object) -> bool:
    """A boolean as a URL has it."""
    if value not in ("true", "false"):
        raise ValueError("is neither true nor false")
    return value == "true"


def _readable(text: str) -> str:
    """Text without control characters other than line breaks and tabs."""
    for character in text:
        if unicodedata.category(character) in ("Cc", "Cs") and character not in "\n\t":
            raise ValueError(f"has the control character U+{ord(character):04X}")
    return text


def _said(text: str) -> str:
    if not text.strip():
        raise ValueError("is empty; say why")
    return text


def iso(at: float) -> str:
    """Epoch seconds as ISO 8601 in UTC, to the millisecond."""
    text = dt.datetime.fromtimestamp(at, dt.UTC).isoformat(timespec="milliseconds")
    return text.removesuffix("+00:00") + "Z"


def next_cursor(place: Literal["id", "date"], found: Sequence[object], limit: int) -> str | None:
    """Where the page after one of `limit` rows begins, as text that clients hand back unread.

    None where `found`, for which one row more was asked, has no more. `place` is what rows are sorted by.
    """
    if len(found) <= limit:
        return None
    text = f"{place}:{getattr(found[limit - 1], place)}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _decoder(kind: str, parse: Callable[[str], Any]) -> Callable[[object], Any]:
    def decode(value: object) -> Any:
        try:
            text = str(value)
            plain = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
            found, _, place = plain.decode("ascii").partition(":")
            if found == kind:
                return parse(place)
        except (binascii.Error, ValueError):
            pass
        raise ValueError("is not a cursor of this list; take it from next_cursor")

    return decode


def _place(text: str) -> int:
    number = whole_number(text)
    if not 1 <= number <= LARGEST:
        raise ValueError("beyond the state database")
    return number


_CURSOR_SCHEMA = WithJsonSchema({"type": "string", "description": "next_cursor of the page before"})

PlainDate = Annotated[
    dt.date,
    BeforeValidator(plain_date),
    WithJsonSchema({"type": "string", "format": "date", "pattern": DATE_PATTERN}, mode="validation"),
]
"""A date of a request."""
Id = Annotated[int, Field(ge=1, le=LARGEST), BeforeValidator(whole_number)]
"""The number of a backfill or an attempt, in a URL."""
Limit = Annotated[int, Field(ge=1, le=1000), BeforeValidator(whole_number)]
"""Items of one page."""
Flag = Annotated[bool, BeforeValidator(boolean)]
"""True or false, in a query."""
Lines = Annotated[int, Field(ge=0, le=100_000), BeforeValidator(whole_number)]
"""Lines of a log."""
Bytes = Annotated[int, Field(ge=0, le=LARGEST), BeforeValidator(whole_number)]
"""A place in a log, or how much of it."""
Text = Annotated[str, Field(max_length=500), AfterValidator(_readable)]
Reason = Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_readable), AfterValidator(_said)]
DateCursor = Annotated[dt.date, BeforeValidator(_decoder("date", plain_date)), _CURSOR_SCHEMA]
"""The date after which a page begins."""
NumberCursor = Annotated[int, BeforeValidator(_decoder("id", _place)), _CURSOR_SCHEMA]
"""The id below which a page begins."""
Time = Annotated[
    float,
    PlainSerializer(iso, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}, mode="serialization"),
]
"""Epoch seconds inside, ISO 8601 outside."""
