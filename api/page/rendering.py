"""Rendering of pages and parts of pages, for all views."""

from __future__ import annotations

from typing import Any

from flask import Response, render_template, request


def render(name: str, **context: Any) -> Response:
    """A live page, or only its part when its script polls; 304 while it has not changed."""
    folder = "parts/" if request.args.get("part") else ""
    response = Response(render_template(f"{folder}{name}.html", **context))
    response.add_etag()
    return response


def query_fields(*names: str) -> dict[str, str]:
    """The fields of the query string that are not empty."""
    return {name: request.args[name] for name in names if request.args.get(name)}
