"""Rendering of pages and parts of pages, for all views."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from flask import Response, render_template, request


def render(name: str, **context: Any) -> Response:
    """A live page, or only its part when its script polls; 304 while it has not changed."""
    folder = "parts/" if request.args.get("part") else ""
    response = Response(render_template(f"{folder}{name}.html", **context))
    response.add_etag()
    return response


def render_part(name: str, version: str, context: Callable[[], Mapping[str, Any]]) -> Response:
    """A part of a page at a version; 304, and not drawn, if the script has that version already."""
    if request.if_none_match.contains_weak(version):
        response = Response(status=304)
    else:
        response = Response(render_template(f"parts/{name}.html", **context()))
    response.set_etag(version)
    return response


def query_fields(*names: str) -> dict[str, str]:
    """The fields of the query string that are not empty."""
    return {name: request.args[name] for name in names if request.args.get(name)}
