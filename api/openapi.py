"""The OpenAPI 3.1 document, made from the endpoints and the models that also do the work."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema
from werkzeug.http import HTTP_STATUS_CODES

from backfilld import __version__
from backfilld.api import endpoint, problems
from backfilld.api.auth.request_guard import COOKIE
from backfilld.api.endpoint import Endpoint, Router, header_name
from backfilld.api.schemas.fields import ResponseModel
from backfilld.api.schemas.responses import Problem
from backfilld.state.pipeline.strict_model import StrictModel

Json = dict[str, Any]
_REF = "#/components/schemas/{model}"
_ALWAYS = (403, 429)
"""Problems of every route: a wrong Host or Origin, too many requests."""
_GUARDED = (401, 503)
"""Problems of every route that needs a scope: no token, a token file that cannot be used."""
_SCHEMES: Json = {
    "token": {"type": "http", "scheme": "bearer", "description": "Made by `backfilld token new NAME`."},
    "session": {"type": "apiKey", "in": "cookie", "name": COOKIE, "description": "Opened by `POST /login`."},
}
"""Either is enough; neither is needed while the daemon has no tokens."""
_NOT_MODIFIED = 304


def document(sections: Sequence[Router]) -> Json:
    """The whole document."""
    endpoints = [one for section in sections for one in section.endpoints]
    schemas = _Schemas(endpoints)
    paths: Json = {}
    for section in sections:
        for one in section.endpoints:
            paths.setdefault(one.path, {})[one.method.lower()] = _operation(section, one, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "backfilld",
            "version": __version__,
            "description": "Backfills a date-partitioned data platform, and believes only the warehouse.",
        },
        "tags": [{"name": section.name, "description": section.about} for section in sections],
        "paths": paths,
        "components": {"schemas": schemas.components, "securitySchemes": _SCHEMES},
    }


class _Schemas:
    """The models of all endpoints: answers and bodies by name, parameters in full."""

    def __init__(self, endpoints: Iterable[Endpoint]) -> None:
        wanted: dict[tuple[type[BaseModel], JsonSchemaMode], None] = {(Problem, "serialization"): None}
        for one in endpoints:
            if not isinstance(one.answer, tuple):
                wanted[one.answer, "serialization"] = None
            if one.body is not None:
                wanted[one.body, "validation"] = None
        self._refs, definitions = models_json_schema(list(wanted), ref_template=_REF)
        self.components: Json = definitions["$defs"]

    def answer(self, model: type[ResponseModel]) -> Json:
        """Where the schema of an answer is."""
        return self._refs[model, "serialization"]

    def body(self, model: type[StrictModel]) -> Json:
        """Where the schema of a body is."""
        return self._refs[model, "validation"]


def _operation(section: Router, one: Endpoint, schemas: _Schemas) -> Json:
    summary, _, description = inspect.getdoc(one.view).partition("\n")  # type: ignore[union-attr]
    operation: Json = {
        "tags": [section.name],
        "operationId": f"{section.name}.{one.name}",
        "summary": summary,
        "security": [{name: [one.scope]} for name in _SCHEMES] if one.scope else [],
        "parameters": list(_parameters(one)),
        "responses": {**_answers(one, schemas), **_problems(one, schemas)},
    }
    if description.strip():
        operation["description"] = description.strip()
    if one.body is not None:
        required = any(field.is_required() for field in one.body.model_fields.values())
        content = {endpoint.MEDIA_TYPE: {"schema": schemas.body(one.body)}}
        operation["requestBody"] = {"required": required, "content": content}
    return operation


def _parameters(one: Endpoint) -> Iterator[Json]:
    for place, model in (("path", one.which), ("query", one.query), ("header", one.header)):
        if model is None:
            continue
        schema = model.model_json_schema(ref_template=_REF)
        for name, about in schema["properties"].items():
            yield {
                "name": header_name(name) if place == "header" else name,
                "in": place,
                "required": place == "path" or name in schema.get("required", ()),
                "schema": _absent_or_given(about, schema.get("$defs", {})),
            }


def _absent_or_given(about: Json, definitions: Json) -> Json:
    """A parameter is absent rather than null; and what it refers to stands here in full."""
    given = [case for case in about.get("anyOf", [about]) if case.get("type") != "null"]
    plain: Json = {**about, **given[0]}
    plain.pop("anyOf", None)
    if plain.get("default", ...) is None:
        del plain["default"]
    reference = plain.pop("$ref", None)
    return {**definitions[reference.rsplit("/", 1)[1]], **plain} if reference else plain


def _answers(one: Endpoint, schemas: _Schemas) -> Json:
    if isinstance(one.answer, tuple):
        structured = endpoint.MEDIA_TYPE in one.answer
        schema = {"type": "object"} if structured else {"type": "string"}
        content = {media_type: {"schema": schema} for media_type in one.answer}
    else:
        content = {endpoint.MEDIA_TYPE: {"schema": schemas.answer(one.answer)}}
    headers = {name: {"schema": {"type": "string"}} for name in one.headers}
    return {
        str(status): {
            "description": HTTP_STATUS_CODES[status],
            **({"headers": headers} if headers else {}),
            **({} if status == _NOT_MODIFIED else {"content": content}),
        }
        for status in one.status
    }


def _problems(one: Endpoint, schemas: _Schemas) -> Json:
    statuses = {*_ALWAYS, *(_GUARDED if one.scope else ()), *one.problems}
    if any((one.which, one.query, one.body, one.header)):
        statuses.add(422)
    if one.body is not None:
        statuses |= {400, 413, 415}
    content = {problems.MEDIA_TYPE: {"schema": schemas.answer(Problem)}}
    return {
        str(status): {"description": HTTP_STATUS_CODES[status], "content": content}
        for status in sorted(statuses)
    }
