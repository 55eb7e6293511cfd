"""The exceptions of Google's clients, and their root causes."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import TimeoutError as FutureTimeoutError

import requests
from google.api_core import exceptions
from google.auth.exceptions import GoogleAuthError

from backfilld.state.formatting import first_line

FAILURES = (
    exceptions.GoogleAPIError,
    GoogleAuthError,
    requests.RequestException,
    FutureTimeoutError,
    OSError,
)
"""Everything that a client raises when a request fails."""


def root_cause(error: Exception) -> str:
    """The innermost cause with its type, such as a refused connection or missing credentials."""
    *_, innermost = _causes(error)
    text = first_line(str(innermost)) if str(innermost) else type(innermost).__name__
    return f"{text} ({type(innermost).__name__})"


def _causes(error: BaseException) -> Iterator[BaseException]:
    yield error
    cause = getattr(error, "cause", None) or error.__cause__ or error.__context__
    if isinstance(cause, BaseException):
        yield from _causes(cause)
