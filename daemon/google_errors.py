"""What Google's clients raise when an answer does not come, and what lies behind it."""

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
"""All that a client raises when a question is not answered."""


def root_cause(error: Exception) -> str:
    """The innermost cause, which names what happened: refused, no credentials, no such host."""
    *_, innermost = _causes(error)
    text = first_line(str(innermost)) if str(innermost) else type(innermost).__name__
    return f"{text} ({type(innermost).__name__})"


def _causes(error: BaseException) -> Iterator[BaseException]:
    yield error
    cause = getattr(error, "cause", None) or error.__cause__ or error.__context__
    if isinstance(cause, BaseException):
        yield from _causes(cause)
