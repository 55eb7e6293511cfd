"""Models of small request bodies: hold, pause, login, and the empty body. Unknown keys are rejected."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from backfilld.api.schemas.field_types import (
    Reason,
    Text,
)
from backfilld.state.pipeline.strict_model import StrictModel


class PlaceHold(StrictModel):
    """What is held, and why; `key` is the name of the processor or the table, empty for the warehouse."""

    kind: Literal["processor", "table", "warehouse"]
    key: Text = ""
    reason: Reason


class EmptyBody(StrictModel):
    """An empty body."""

    @classmethod
    def _unknown(cls, key: object) -> str:
        return f"unknown key '{key}'; the body is empty here"


class Pause(StrictModel):
    """The reason for the global pause."""

    reason: Text = ""


class Login(StrictModel):
    """The token that opens a session."""

    token: Annotated[str, Field(min_length=1, max_length=200)]
