"""Conditional requests, and compression of large responses for clients that accept gzip."""

from __future__ import annotations

import gzip

from flask import Flask, Response, request

SMALLEST = 1 << 10
"""Bytes below which compression saves no packet."""
LEVEL = 5
_TEXTS = ("text/", "application/json", "application/problem+json", "application/javascript", "image/svg+xml")


def init_app(app: Flask) -> None:
    """Answer 304 to whoever has the same content already, and compress what is large."""
    app.after_request(_compress)
    app.after_request(_make_conditional)  # before compression: Flask calls the last one first


def _make_conditional(response: Response) -> Response:
    """A tag that a compressed response made weak matches here, whatever the view compared."""
    if response.status_code == 200 and "ETag" in response.headers and not response.direct_passthrough:
        response.make_conditional(request)
        del response.headers["Date"]  # the server sets it
    return response


def _compress(response: Response) -> Response:
    if not response.content_type or not response.content_type.startswith(_TEXTS):
        return response
    response.vary.add("Accept-Encoding")
    if response.is_streamed or response.direct_passthrough or request.accept_encodings["gzip"] <= 0:
        return response
    body = response.get_data()
    if len(body) < SMALLEST or "Content-Encoding" in response.headers:
        return response
    response.set_data(gzip.compress(body, LEVEL, mtime=0))
    response.headers["Content-Encoding"] = "gzip"
    # The same content in other bytes: a weak tag says that both are equivalent.
    tag, weak = response.get_etag()
    if tag is not None and not weak:
        response.set_etag(tag, weak=True)
    return response
