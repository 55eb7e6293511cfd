"""Endpoints as data: a view with its request and response models, which also make the OpenAPI document."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from flask import Blueprint, Response, request
from pydantic import ValidationError
from pydantic_core import from_json
from werkzeug.exceptions import BadRequest, UnsupportedMediaType

from backfilld.api.auth.tokens import Scope
from backfilld.api.daemon_interface import DaemonService
from backfilld.api.problem_responses import BadInput
from backfilld.api.schemas.field_types import ResponseModel, readable
from backfilld.state.pipeline.strict_model import StrictModel

MEDIA_TYPE = "application/json"
RequestT = TypeVar("RequestT", bound=StrictModel)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A response with its own status or headers."""

    body: ResponseModel
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


View = Callable[..., ResponseModel | Reply | Response]
"""Takes the service, and the parsed `path`, `query`, `body` and `header` that its endpoint declares."""
Declared = TypeVar("Declared", bound=View)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One HTTP method on one route. `response` is a model, or the media types of a text."""

    method: str
    route: str
    view: View
    response: type[ResponseModel] | tuple[str, ...]
    path: type[StrictModel] | None = None
    query: type[StrictModel] | None = None
    body: type[StrictModel] | None = None
    header: type[StrictModel] | None = None
    status: tuple[int, ...] = (200,)
    problems: tuple[int, ...] = ()
    """Problem statuses beyond those that the models imply."""
    headers: tuple[str, ...] = ()
    """Response headers beyond those of every response."""
    public: bool = False
    """Whether it needs no token, even when the daemon has tokens."""

    @property
    def name(self) -> str:
        """The name of the view function, unique in its section."""
        return self.view.__name__

    @property
    def operation_id(self) -> str:
        """The name in camelCase: the operation id of the OpenAPI document."""
        first, *others = self.name.split("_")
        return first + "".join(word.title() for word in others)

    @property
    def changes(self) -> bool:
        """Whether a request may change something."""
        return self.method != "GET"

    @property
    def scope(self) -> Scope | None:
        """The scope that a token needs; None for a public endpoint."""
        if self.public:
            return None
        return Scope.OPERATE if self.changes else Scope.READ

    def serve(self, service: DaemonService, values: Mapping[str, str]) -> Response:
        """Parse the request, call the view, wake the engine after a change, and build the response.

        `values` are the variables of the route.
        """
        arguments: dict[str, StrictModel] = {}
        if self.path is not None:
            arguments["path"] = parse(self.path, dict(_readable(values.items())))
        if self.query is not None:
            arguments["query"] = parse(self.query, dict(_readable(_query())))
        else:
            _refuse_parameters()
        if self.header is not None:
            arguments["header"] = parse(self.header, dict(_headers(self.header)), rename_field=header_name)
        if self.body is not None:
            arguments["body"] = parse(self.body, _body())
        reply = self.view(service, **arguments)
        if self.changes:
            service.wake()
        return _to_response(reply)


class Router:
    """A section of the API: one Flask blueprint, one tag of the OpenAPI document."""

    def __init__(self, name: str, description: str) -> None:
        self.name = name
        self.description = description
        self.endpoints: list[Endpoint] = []

    def get(
        self, route: str, response: type[ResponseModel] | tuple[str, ...], **keys: Any
    ) -> Callable[[Declared], Declared]:
        """Declare a view that reads."""
        return self._declare("GET", route, response, keys)

    def post(self, route: str, response: type[ResponseModel], **keys: Any) -> Callable[[Declared], Declared]:
        """Declare a view that changes something."""
        return self._declare("POST", route, response, keys)

    def delete(
        self, route: str, response: type[ResponseModel], **keys: Any
    ) -> Callable[[Declared], Declared]:
        """Declare a view that removes something."""
        return self._declare("DELETE", route, response, keys)

    def _declare(
        self,
        method: str,
        route: str,
        response: type[ResponseModel] | tuple[str, ...],
        keys: Mapping[str, Any],
    ) -> Callable[[Declared], Declared]:
        def declare(view: Declared) -> Declared:
            self.endpoints.append(Endpoint(method=method, route=route, view=view, response=response, **keys))
            return view

        return declare

    @property
    def scopes(self) -> dict[str, Scope | None]:
        """The scope of each endpoint, by its Flask endpoint name."""
        return {f"{self.name}.{endpoint.name}": endpoint.scope for endpoint in self.endpoints}

    def blueprint(self, service: DaemonService) -> Blueprint:
        """The endpoints as a Flask blueprint, bound to one daemon."""
        blueprint = Blueprint(self.name, __name__)
        for endpoint in self.endpoints:
            blueprint.add_url_rule(
                endpoint.route.replace("{", "<").replace("}", ">"),
                endpoint.name,
                _bind(endpoint, service),
                methods=[endpoint.method],
                provide_automatic_options=False,
            )
        return blueprint


def _bind(endpoint: Endpoint, service: DaemonService) -> Callable[..., Response]:
    def serve(**values: str) -> Response:
        return endpoint.serve(service, values)

    return serve


def parse(model: type[RequestT], data: object, *, rename_field: Callable[[str], str] = str) -> RequestT:
    """Validate request data. `rename_field` turns a field of the model into the name the client used.

    Raises:
        BadInput: the data does not fit the model.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise BadInput.from_pydantic(error, rename_field) from error


def _refuse_parameters() -> None:
    """Refuse the parameters of a path that takes none."""
    for name in request.args:
        raise BadInput.for_field(name, "unknown parameter; this path takes none, leave it out")


def _query() -> Iterator[tuple[str, str]]:
    for name, values in request.args.lists():
        if len(values) > 1:
            raise BadInput.for_field(name, "is given more than once")
        yield name, values[0]


def _readable(values: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """The values of a URL. PostgreSQL cannot take a NUL character, not even to compare with."""
    for name, value in values:
        try:
            yield name, readable(value)
        except ValueError as error:
            raise BadInput.for_field(name, str(error)) from error


def _headers(model: type[StrictModel]) -> Iterator[tuple[str, str]]:
    for name in model.model_fields:
        value = request.headers.get(header_name(name))
        if value is not None:
            yield name, value


def header_name(field_name: str) -> str:
    """The header of a field: `Idempotency-Key` for `idempotency_key`."""
    return field_name.replace("_", "-").title()


def _body() -> object:
    """The parsed JSON body; an empty body is an empty object.

    Raises:
        HTTPException: the body is too large, is not JSON, or has another media type or a coding.
    """
    raw = request.get_data(cache=False)
    if not raw.strip():
        return {}
    if request.mimetype != MEDIA_TYPE:
        raise UnsupportedMediaType(f"the body should be {MEDIA_TYPE}, not {request.mimetype or 'unnamed'}")
    coding = request.headers.get("Content-Encoding", "identity")
    if coding.strip().lower() not in ("", "identity"):
        raise UnsupportedMediaType(
            f"the body should be plain, not {coding}: send it without Content-Encoding"
        )
    try:
        body: object = from_json(raw, allow_inf_nan=False)
    except ValueError as error:
        raise BadRequest(f"the body is not JSON: {error}") from error
    json.loads(raw, object_pairs_hook=_refuse_repeated_keys)
    return body


def _refuse_repeated_keys(pairs: list[tuple[str, object]]) -> None:
    """Refuse an object with a key twice: a proxy before the daemon may use the other value."""
    known: set[str] = set()
    for name, _ in pairs:
        if name in known:
            raise BadInput.for_field(name, "is given more than once")
        known.add(name)


def _to_response(reply: ResponseModel | Reply | Response) -> Response:
    if isinstance(reply, Response):
        return reply
    full = reply if isinstance(reply, Reply) else Reply(body=reply)
    text = full.body.model_dump_json(by_alias=True, exclude_unset=True)
    return Response(text, full.status, headers=dict(full.headers), content_type=MEDIA_TYPE)
