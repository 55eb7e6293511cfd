"""Endpoints as data: a view with the models of what it takes and gives. OpenAPI is made from the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from flask import Blueprint, Response, request
from pydantic import ValidationError
from pydantic_core import from_json
from werkzeug.exceptions import BadRequest, UnsupportedMediaType

from backfilld.api.auth.tokens import Scope
from backfilld.api.ports import DaemonService
from backfilld.api.problems import BadInput
from backfilld.api.schemas.fields import ResponseModel
from backfilld.state.pipeline.strict_model import StrictModel

MEDIA_TYPE = "application/json"
RequestT = TypeVar("RequestT", bound=StrictModel)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer that needs more than its body."""

    body: ResponseModel
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


View = Callable[..., ResponseModel | Reply | Response]
"""Takes the service, then what its endpoint reads: `which`, `query`, `body`, `header`."""
Declared = TypeVar("Declared", bound=View)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One method on one path. `answer` is a model, or the media types of a text."""

    method: str
    path: str
    view: View
    answer: type[ResponseModel] | tuple[str, ...]
    which: type[StrictModel] | None = None
    query: type[StrictModel] | None = None
    body: type[StrictModel] | None = None
    header: type[StrictModel] | None = None
    status: tuple[int, ...] = (200,)
    problems: tuple[int, ...] = ()
    """Statuses of problems beyond those that its models imply."""
    headers: tuple[str, ...] = ()
    """What its answers may carry beyond the headers of every answer."""
    open: bool = False
    """Whether it answers everyone, whatever tokens there are."""

    @property
    def name(self) -> str:
        """The view's name, unique in its section."""
        return self.view.__name__

    @property
    def changes(self) -> bool:
        """Whether it may change something."""
        return self.method != "GET"

    @property
    def scope(self) -> Scope | None:
        """What a token must be allowed to do; None where none is needed."""
        if self.open:
            return None
        return Scope.OPERATE if self.changes else Scope.READ

    def serve(self, service: DaemonService, values: Mapping[str, str]) -> Response:
        """Read the request, call the view, wake the engine after a change, and answer."""
        given: dict[str, StrictModel] = {}
        if self.which is not None:
            given["which"] = read(self.which, dict(values))
        if self.query is not None:
            given["query"] = read(self.query, dict(_query()))
        if self.header is not None:
            given["header"] = read(self.header, dict(_headers(self.header)), rename_field=header_name)
        if self.body is not None:
            given["body"] = read(self.body, _body())
        reply = self.view(service, **given)
        if self.changes:
            service.wake()
        return _answer(reply)


class Router:
    """Endpoints that belong together: one blueprint of the app, one tag of the document."""

    def __init__(self, name: str, about: str) -> None:
        self.name = name
        self.about = about
        self.endpoints: list[Endpoint] = []

    def get(
        self, path: str, answer: type[ResponseModel] | tuple[str, ...], **keys: Any
    ) -> Callable[[Declared], Declared]:
        """Declare a view that reads."""
        return self._declare("GET", path, answer, keys)

    def post(self, path: str, answer: type[ResponseModel], **keys: Any) -> Callable[[Declared], Declared]:
        """Declare a view that changes something."""
        return self._declare("POST", path, answer, keys)

    def delete(self, path: str, answer: type[ResponseModel], **keys: Any) -> Callable[[Declared], Declared]:
        """Declare a view that takes something away."""
        return self._declare("DELETE", path, answer, keys)

    def _declare(
        self, method: str, path: str, answer: type[ResponseModel] | tuple[str, ...], keys: Mapping[str, Any]
    ) -> Callable[[Declared], Declared]:
        def declare(view: Declared) -> Declared:
            self.endpoints.append(Endpoint(method=method, path=path, view=view, answer=answer, **keys))
            return view

        return declare

    @property
    def scopes(self) -> dict[str, Scope | None]:
        """What each endpoint needs, by the name that the app knows it under."""
        return {f"{self.name}.{one.name}": one.scope for one in self.endpoints}

    def blueprint(self, service: DaemonService) -> Blueprint:
        """The endpoints, bound to one daemon."""
        blueprint = Blueprint(self.name, __name__)
        for endpoint in self.endpoints:
            blueprint.add_url_rule(
                endpoint.path.replace("{", "<").replace("}", ">"),
                endpoint.name,
                _bound(endpoint, service),
                methods=[endpoint.method],
                provide_automatic_options=False,
            )
        return blueprint


def _bound(endpoint: Endpoint, service: DaemonService) -> Callable[..., Response]:
    def serve(**values: str) -> Response:
        return endpoint.serve(service, values)

    return serve


def read(model: type[RequestT], data: object, *, rename_field: Callable[[str], str] = str) -> RequestT:
    """What was asked, as its model.

    Raises:
        BadInput: it is not what the model takes.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise BadInput.found(error, rename_field) from error


def _query() -> Iterator[tuple[str, str]]:
    for name, values in request.args.lists():
        if len(values) > 1:
            raise BadInput.of(name, "is given more than once")
        yield name, values[0]


def _headers(model: type[StrictModel]) -> Iterator[tuple[str, str]]:
    for name in model.model_fields:
        value = request.headers.get(header_name(name))
        if value is not None:
            yield name, value


def header_name(field_name: str) -> str:
    """`idempotency_key` as a header has it."""
    return field_name.replace("_", "-").title()


def _body() -> object:
    """The JSON of the body; an empty one is an empty object.

    Raises:
        HTTPException: it is too large, not JSON, or says that it is something else.
    """
    raw = request.get_data(cache=False)
    if not raw.strip():
        return {}
    if request.mimetype != MEDIA_TYPE:
        raise UnsupportedMediaType(f"the body should be {MEDIA_TYPE}, not {request.mimetype or 'unnamed'}")
    try:
        return from_json(raw, allow_inf_nan=False)
    except ValueError as error:
        raise BadRequest(f"the body is not JSON: {error}") from error


def _answer(reply: ResponseModel | Reply | Response) -> Response:
    if isinstance(reply, Response):
        return reply
    full = reply if isinstance(reply, Reply) else Reply(body=reply)
    text = full.body.model_dump_json(by_alias=True, exclude_unset=True)
    return Response(text, full.status, headers=dict(full.headers), content_type=MEDIA_TYPE)
