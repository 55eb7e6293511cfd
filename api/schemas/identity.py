"""Response models of authentication: who the caller is, and that a session is over."""

from __future__ import annotations

from typing import Literal

from backfilld.api.schemas.field_types import ResponseModel


class Identity(ResponseModel):
    """The name of the token in use, and its scope."""

    name: str
    scope: Literal["read", "operate"]


class LoggedOut(ResponseModel):
    """The session is over."""

    logged_out: bool
