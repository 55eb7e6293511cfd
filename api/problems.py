"""Errors as RFC 9457 problems: one table from exceptions to answers, one function that builds every body."""

from __future__ import annotations

import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask import Flask, Response, g, request
from pydantic import ValidationError
from werkzeug.exceptions import HTTPException, InternalServerError
from werkzeug.http import HTTP_STATUS_CODES

from backfilld.api.auth.tokens import redacted
from backfilld.api.schemas.responses import Fault, Problem
from backfilld.daemon.engine.commands import Conflict, NotFound
from backfilld.daemon.engine.enqueue import KeyReused
from backfilld.daemon.warehouses.adapter import WarehouseError
from backfilld.state.rules.machine import IllegalMove
from backfilld.state.store.errors import DatabaseUnavailable, NotLeader
from backfilld.state.store.transitions import StaleDate

MEDIA_TYPE = "application/problem+json"
MOST_FAULTS = 20
"""Faults that one answer names."""
LONGEST = 300
"""Characters of a message; what a client sent may be longer."""

_TOLD_HEADERS = ("Allow", "Retry-After", "WWW-Authenticate")
_PLAINER = {"model_type": "should be a JSON object", "tuple_type": "should be a list"}
"""What pydantic says in Python's words."""


class BadInput(Exception):
    """Something that was asked for is wrong; every fault names its field."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = faults
        super().__init__("; ".join(f"{fault.field}: {fault.message}" for fault in faults))

    @classmethod
    def of(cls, field: str, message: str) -> BadInput:
        """One field at fault."""
        return cls([_fault(field, message)])

    @classmethod
    def found(cls, error: ValidationError, spell: Callable[[str], str] = str) -> BadInput:
        """What a model found wrong; `spell` gives a field the name that its sender knows."""
        wrong = error.errors(include_url=False)[:MOST_FAULTS]
        return cls([_fault(spell(_field(found)), _message(found)) for found in wrong])


@dataclass(frozen=True, slots=True)
class _Kind:
    """How an exception is answered: the status, and the last word of the problem's type."""

    status: int
    word: str
    field: str = ""
    """The field at fault, where it is always the same."""
    retry_after: int | None = None


_STATUS_BY_ERROR: Mapping[type[Exception], _Kind] = {
    BadInput: _Kind(422, "bad-input"),
    NotFound: _Kind(404, "not-found"),
    Conflict: _Kind(409, "refused"),
    StaleDate: _Kind(409, "refused"),
    IllegalMove: _Kind(409, "refused"),
    KeyReused: _Kind(422, "key-reused", field="Idempotency-Key"),
    WarehouseError: _Kind(503, "warehouse-unreachable", retry_after=30),
    NotLeader: _Kind(503, "standby", retry_after=5),
    DatabaseUnavailable: _Kind(503, "state-database-unavailable", retry_after=5),
}


ANSWERED: Sequence[type[Exception]] = (*_STATUS_BY_ERROR, HTTPException)
"""Every exception that has an answer."""


def install(app: Flask) -> None:
    """Have every error of the app answered as a problem."""
    for kind in ANSWERED:
        app.register_error_handler(kind, answer)


def answer(error: Exception) -> Response:
    """The problem that tells an error."""
    return _http(error) if isinstance(error, HTTPException) else _domain(error)


def problem(
    status: int, detail: str, *, word: str = "", faults: Sequence[Fault] = (), headers: Mapping[str, str] = {}
) -> Response:
    """The one body of all errors. Without a `word` the status says it all."""
    given: dict[str, Any] = {"errors": list(faults)} if faults else {}
    body = Problem(
        type=f"urn:backfilld:problem:{word}" if word else "about:blank",
        title=HTTP_STATUS_CODES[status],
        status=status,
        detail=detail,
        instance=urllib.parse.quote(request.path, safe="/"),
        **given,
    )
    # What a client sent may come back to it, but a token never, wherever it was put.
    text = redacted(body.model_dump_json(exclude_unset=True))
    return Response(text, status, headers=dict(headers), content_type=MEDIA_TYPE)


def _domain(error: Exception) -> Response:
    kind = next(kind for type_, kind in _STATUS_BY_ERROR.items() if isinstance(error, type_))
    faults = list(error.faults) if isinstance(error, BadInput) else []
    if kind.field:
        faults = [_fault(kind.field, str(error))]
    headers = {"Retry-After": str(kind.retry_after)} if kind.retry_after is not None else {}
    return problem(kind.status, _shortened(str(error)), word=kind.word, faults=faults, headers=headers)


def _http(error: HTTPException) -> Response:
    status = error.code or 500
    headers = {name: value for name, value in error.get_headers() if name in _TOLD_HEADERS}
    if isinstance(error, InternalServerError):
        detail = f"an error that was not foreseen; the log has it under request {g.get('request_id', '')}"
    elif status == 404:
        detail = f"there is nothing at {request.path}; /openapi.json lists every route"
    else:
        detail = error.description or HTTP_STATUS_CODES[status]
    return problem(status, _shortened(detail), headers=headers)


def _fault(field: str, message: str) -> Fault:
    return Fault(field=_shortened(field), message=_shortened(message))


def _field(found: Mapping[str, Any]) -> str:
    """Where it is: `dates.3`, the key nobody knows, or `body` when it is all of it."""
    about = found.get("ctx") or {}
    named = about.get("field") or about.get("key")
    return ".".join(str(part) for part in (*found["loc"], *([named] if named else []))) or "body"


def _message(found: Mapping[str, Any]) -> str:
    if found["type"] == "value_error":
        return str(found["ctx"]["error"])
    return _PLAINER.get(found["type"]) or str(found["msg"]).removeprefix("Input ")


def _shortened(text: str) -> str:
    """Not too long, and readable whatever a client sent."""
    plain = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    return plain if len(plain) <= LONGEST else f"{plain[:LONGEST]}..."
