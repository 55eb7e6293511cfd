"""The OpenAPI 3.1 document, built from the endpoints and the models that also parse and serialize."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema
from werkzeug.http import HTTP_STATUS_CODES

from backfilld import __version__
from backfilld.api import problem_responses
from backfilld.api.auth.request_guard import COOKIE
from backfilld.api.endpoint_definition import MEDIA_TYPE, Endpoint, Router, header_name
from backfilld.api.schemas.field_types import ResponseModel
from backfilld.api.schemas.responses import Problem
from backfilld.state.pipeline.strict_model import StrictModel

Json = dict[str, Any]
_REF = "#/components/schemas/{model}"
_ALWAYS = (403, 429)
"""Problems of every route: a wrong Host or Origin, too many requests."""
_GUARDED = (401, 503)
"""Problems of every route that needs a scope: no token, an unusable token file."""
_SCHEMES: Json = {
    "token": {"type": "http", "scheme": "bearer", "description": "Made by `backfilld token new NAME`."},
    "session": {"type": "apiKey", "in": "cookie", "name": COOKIE, "description": "Opened by `POST /login`."},
}
"""One of the two is enough; a daemon without tokens needs neither."""
_RETRY_AFTER: Json = {
    "Retry-After": {"schema": {"type": "integer"}, "description": "Seconds until a request may be accepted."}
}
_HEADERS: Mapping[int, Json] = {
    401: {
        "WWW-Authenticate": {"schema": {"type": "string"}, "description": "The scheme Bearer, and the error."}
    },
    429: _RETRY_AFTER,
    503: _RETRY_AFTER,
}
"""Headers of problems, by status."""
_NOT_MODIFIED = 304
SCOPE = "x-required-scope"
"""The key of an operation that has its scope, or null. In OpenAPI, only OAuth has scopes of its own."""


@functools.cache
def document(sections: tuple[Router, ...]) -> Json:
    """The whole document. The first call takes a third of a second, so that no start of a daemon makes it."""
    endpoints = [endpoint for section in sections for endpoint in section.endpoints]
    schemas = _Schemas(endpoints)
    paths: Json = {}
    for section in sections:
        for endpoint in section.endpoints:
            operations = paths.setdefault(endpoint.route, {})
            operations[endpoint.method.lower()] = _operation(section, endpoint, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "backfilld",
            "version": __version__,
            "description": "Backfills a date-partitioned data platform, verified in the warehouse.",
            "contact": {"name": "The operators of this daemon"},
            "license": {"name": "Apache License 2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "The daemon that serves this document."}],
        "tags": [{"name": section.name, "description": section.description} for section in sections],
        "paths": paths,
        "components": {"schemas": schemas.components, "securitySchemes": _SCHEMES},
    }


class _Schemas:
    """The schemas of all endpoints: responses and bodies by reference, parameters inline."""

    def __init__(self, endpoints: Iterable[Endpoint]) -> None:
        wanted: dict[tuple[type[BaseModel], JsonSchemaMode], None] = {(Problem, "serialization"): None}
        for endpoint in endpoints:
            if not isinstance(endpoint.response, tuple):
                wanted[endpoint.response, "serialization"] = None
            if endpoint.body is not None:
                wanted[endpoint.body, "validation"] = None
        self._refs, definitions = models_json_schema(list(wanted), ref_template=_REF)
        self.components: Json = definitions["$defs"]

    def response(self, model: type[ResponseModel]) -> Json:
        """The reference to the schema of a response."""
        return self._refs[model, "serialization"]

    def body(self, model: type[StrictModel]) -> Json:
        """The reference to the schema of a request body."""
        return self._refs[model, "validation"]


def _operation(section: Router, endpoint: Endpoint, schemas: _Schemas) -> Json:
    summary, _, description = inspect.getdoc(endpoint.view).partition("\n")  # type: ignore[union-attr]
    operation: Json = {
        "tags": [section.name],
        "operationId": endpoint.operation_id,
        "summary": summary,
        "description": f"{description.strip()}\n\n{_scope_text(endpoint)}".strip(),
        "security": [{name: []} for name in _SCHEMES] if endpoint.scope else [],
        SCOPE: endpoint.scope,
        "parameters": list(_parameters(endpoint)),
        "responses": {**_responses(endpoint, schemas), **_problems(endpoint, schemas)},
    }
    if endpoint.body is not None:
        required = any(field.is_required() for field in endpoint.body.model_fields.values())
        content = {MEDIA_TYPE: {"schema": schemas.body(endpoint.body)}}
        operation["requestBody"] = {"required": required, "content": content}
    return operation


def _scope_text(endpoint: Endpoint) -> str:
    if not endpoint.scope:
        return "Needs no token."
    return f"Needs the scope `{endpoint.scope}`, if the daemon has tokens."


def _parameters(endpoint: Endpoint) -> Iterator[Json]:
    for place, model in (("path", endpoint.path), ("query", endpoint.query), ("header", endpoint.header)):
        if model is None:
            continue
        schema = model.model_json_schema(ref_template=_REF)
        for name, parameter in schema["properties"].items():
            yield {
                "name": header_name(name) if place == "header" else name,
                "in": place,
                "required": place == "path" or name in schema.get("required", ()),
                "schema": _parameter_schema(parameter, schema.get("$defs", {})),
            }


def _parameter_schema(schema: Json, definitions: Json) -> Json:
    """The schema of a parameter: optional ones are absent, never null; references are inlined."""
    cases = [case for case in schema.get("anyOf", [schema]) if case.get("type") != "null"]
    plain: Json = {**schema, **cases[0]}
    plain.pop("anyOf", None)
    if plain.get("default", ...) is None:
        del plain["default"]
    reference = plain.pop("$ref", None)
    return {**definitions[reference.rsplit("/", 1)[1]], **plain} if reference else plain


def _responses(endpoint: Endpoint, schemas: _Schemas) -> Json:
    if isinstance(endpoint.response, tuple):
        structured = MEDIA_TYPE in endpoint.response
        schema = {"type": "object"} if structured else {"type": "string"}
        content = {media_type: {"schema": schema} for media_type in endpoint.response}
    else:
        content = {MEDIA_TYPE: {"schema": schemas.response(endpoint.response)}}
    headers = {name: {"schema": {"type": "string"}} for name in endpoint.headers}
    return {
        str(status): {
            "description": HTTP_STATUS_CODES[status],
            **({"headers": headers} if headers else {}),
            **({} if status == _NOT_MODIFIED else {"content": content}),
        }
        for status in endpoint.status
    }


def _problems(endpoint: Endpoint, schemas: _Schemas) -> Json:
    statuses = {422, *_ALWAYS, *(_GUARDED if endpoint.scope else ()), *endpoint.problems}
    if endpoint.body is not None:
        statuses |= {400, 413, 415}
    content = {problem_responses.MEDIA_TYPE: {"schema": schemas.response(Problem)}}
    return {
        str(status): {
            "description": HTTP_STATUS_CODES[status],
            **({"headers": _HEADERS[status]} if status in _HEADERS else {}),
            "content": content,
        }
        for status in sorted(statuses)
    }
