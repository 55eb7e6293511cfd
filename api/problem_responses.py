"""Errors as RFC 9457 problems: one table maps exceptions to statuses, one function builds every body."""

from __future__ import annotations

import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask import Flask, Response, current_app, g, request
from pydantic import ValidationError
from werkzeug.exceptions import HTTPException, InternalServerError
from werkzeug.http import HTTP_STATUS_CODES

from backfilld.api.auth.token_redaction import redacted
from backfilld.api.schemas.responses import Fault, Problem
from backfilld.daemon.engine.enqueue import KeyReused
from backfilld.daemon.engine.operator_commands import Conflict, NotFound
from backfilld.daemon.warehouses.adapter import WarehouseError
from backfilld.state.base_errors import BackfilldError
from backfilld.state.rules.state_machine import IllegalMove
from backfilld.state.store.database_errors import DatabaseUnavailable, NotLeader
from backfilld.state.store.transitions import StaleDate

MEDIA_TYPE = "application/problem+json"
MOST_FAULTS = 20
"""Faults that one response names."""
LONGEST = 300
"""Characters of a message. A client may have sent more."""

_FORWARDED_HEADERS = ("Allow", "Retry-After", "WWW-Authenticate")
_MESSAGES = {
    "missing": "is missing; add it",
    "model_type": "is not a JSON object; put it in {{ }}",
    "tuple_type": "is not a list; put it in [ ]",
    "string_type": "is not a text; put it in double quotes",
    "bool_type": "is neither true nor false; write one of them, without quotes",
    "int_type": "is not a whole number; write it without quotes and point",
    "int_parsing": "is not a whole number; write it without letters and signs",
    "int_parsing_size": "is not a whole number; write it with fewer digits",
    "int_from_float": "is not a whole number; write it without a point",
    "greater_than_equal": "is too small; use {ge} or more",
    "less_than_equal": "is too large; use {le} or less",
    "too_short": "is empty; give at least one item",
    "too_long": "has too many items; give {max_length} or fewer",
    "string_too_short": "is empty; fill it in, or leave it out where it is optional",
    "string_too_long": "is too long; use {max_length} characters or fewer",
    "string_pattern_mismatch": "is not 1 to 255 letters, digits and signs; use no spaces",
    "literal_error": "is not known; use {expected}",
    "enum": "is not known; use {expected}",
}
"""Messages by pydantic's error type: its own texts speak of Python and name no remedy."""
_NAMES_VALUE = ("literal_error", "enum")
"""Errors whose message begins with the value."""


class BadInput(BackfilldError):
    """A request is invalid; every fault names its field."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = faults
        super().__init__("; ".join(f"{fault.field}: {fault.message}" for fault in faults))

    @classmethod
    def for_field(cls, field: str, message: str) -> BadInput:
        """One field at fault."""
        return cls([_fault(field, message)])

    @classmethod
    def from_pydantic(cls, error: ValidationError, rename_field: Callable[[str], str] = str) -> BadInput:
        """The faults of a validation. `rename_field` gives a field the name that the client used."""
        errors = _causes(error.errors(include_url=False))[:MOST_FAULTS]
        return cls([_fault(rename_field(_field(details)), _message(details)) for details in errors])


@dataclass(frozen=True, slots=True)
class _ProblemType:
    """HTTP status of an exception, and the last word of the problem's type URN."""

    status: int
    slug: str
    field: str = ""
    """The field at fault, where it is always the same field."""
    retry_after: int | None = None


PROBLEMS: Mapping[str, str] = {
    "bad-input": "422. A field of the request is wrong; `errors` names it.",
    "not-found": "404. There is no such backfill, date, attempt or hold.",
    "conflict": "409. The state does not allow it, or has changed meanwhile.",
    "key-reused": "422. The `Idempotency-Key` belongs to another request.",
    "warehouse-unreachable": "503. The warehouse did not answer.",
    "standby": "503. Another daemon leads.",
    "state-database-unavailable": "503. The state database did not answer.",
}
"""The types of problems, with status and meaning. Without one of them a type is `about:blank`."""
_STATUS_BY_ERROR: Mapping[type[Exception], _ProblemType] = {
    BadInput: _ProblemType(422, "bad-input"),
    NotFound: _ProblemType(404, "not-found"),
    Conflict: _ProblemType(409, "conflict"),
    StaleDate: _ProblemType(409, "conflict"),
    IllegalMove: _ProblemType(409, "conflict"),
    KeyReused: _ProblemType(422, "key-reused", field="Idempotency-Key"),
    WarehouseError: _ProblemType(503, "warehouse-unreachable", retry_after=30),
    NotLeader: _ProblemType(503, "standby", retry_after=5),
    DatabaseUnavailable: _ProblemType(503, "state-database-unavailable", retry_after=5),
}


SLUGS = frozenset(problem.slug for problem in _STATUS_BY_ERROR.values())
"""The ends of the types of problems."""
HANDLED: Sequence[type[Exception]] = (*_STATUS_BY_ERROR, HTTPException)
"""Every exception that becomes a problem response."""


def init_app(app: Flask) -> None:
    """Register the error handlers: every error of the app becomes a problem."""
    for error_type in HANDLED:
        app.register_error_handler(error_type, to_response)


def to_response(error: Exception) -> Response:
    """The problem response of an error."""
    return _http(error) if isinstance(error, HTTPException) else _domain(error)


def problem(
    status: int, detail: str, *, slug: str = "", faults: Sequence[Fault] = (), headers: Mapping[str, str] = {}
) -> Response:
    """A problem response. Without a `slug` its type is `about:blank`: the status says it all."""
    path = urllib.parse.quote(request.path, safe="/")
    text = problem_text(status, detail, instance=path, slug=slug, faults=faults)
    return Response(text, status, headers=dict(headers), content_type=MEDIA_TYPE)


def problem_text(
    status: int, detail: str, *, instance: str, slug: str = "", faults: Sequence[Fault] = ()
) -> str:
    """A problem as JSON, for requests of the path `instance`."""
    errors: dict[str, Any] = {"errors": list(faults)} if faults else {}
    body = Problem(
        type=f"urn:backfilld:problem:{slug}" if slug else "about:blank",
        title=HTTP_STATUS_CODES[status],
        status=status,
        detail=detail,
        instance=instance,
        **errors,
    )
    # A response may repeat what the client sent, but never a token, wherever the client put it.
    return redacted(body.model_dump_json(exclude_unset=True))


def body_too_large(limit: int) -> str:
    """Why a body of more than `limit` bytes is refused, and what helps."""
    return f"the body is larger than {limit >> 10} KiB; split the request, or give a range in place of a list"


def _domain(error: Exception) -> Response:
    problem_type = next(found for type_, found in _STATUS_BY_ERROR.items() if isinstance(error, type_))
    faults = list(error.faults) if isinstance(error, BadInput) else []
    if problem_type.field:
        faults = [_fault(problem_type.field, str(error))]
    headers = {"Retry-After": str(problem_type.retry_after)} if problem_type.retry_after is not None else {}
    return problem(
        problem_type.status, _shortened(str(error)), slug=problem_type.slug, faults=faults, headers=headers
    )


def _http(error: HTTPException) -> Response:
    status = error.code or 500
    headers = {name: value for name, value in error.get_headers() if name in _FORWARDED_HEADERS}
    if isinstance(error, InternalServerError):
        detail = f"unexpected error; see the log for request {g.get('request_id', '')}"
    elif status == 404:
        detail = f"there is nothing at {request.path}; /openapi.json lists every route"
    elif status == 413:
        detail = body_too_large(current_app.config["MAX_CONTENT_LENGTH"])
    else:
        detail = error.description or HTTP_STATUS_CODES[status]
    return problem(status, _shortened(detail), headers=headers)


def _fault(field: str, message: str) -> Fault:
    return Fault(field=_shortened(field), message=_shortened(message))


def _field(details: Mapping[str, Any]) -> str:
    """The path of the field: `dates.3`, an unknown key, or `body` for the whole body."""
    context = details.get("ctx") or {}
    named = context.get("field") or context.get("key")
    return ".".join(str(part) for part in (*details["loc"], *([named] if named else []))) or "body"


def _causes(errors: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """The errors without the lists that are short only because an item of theirs is wrong."""
    within = {tuple(error["loc"][:length]) for error in errors for length in range(len(error["loc"]))}
    return [error for error in errors if error["type"] != "too_short" or tuple(error["loc"]) not in within]


def _message(details: Mapping[str, Any]) -> str:
    if details["type"] == "value_error":
        return str(details["ctx"]["error"])
    value, kind = details["input"], details["type"]
    # The length of a text that is checked for more than its length is that of any sequence.
    template = _MESSAGES.get("string_too_short" if kind == "too_short" and isinstance(value, str) else kind)
    if template is None:
        return str(details["msg"])
    shown = f"'{value}' " if details["type"] in _NAMES_VALUE and isinstance(value, str) else ""
    return shown + template.format(**details.get("ctx") or {})


def _shortened(text: str) -> str:
    """At most `LONGEST` characters, all printable, whatever the client sent."""
    plain = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    return plain if len(plain) <= LONGEST else f"{plain[:LONGEST]}..."
