"""The API as the command line uses it: JSON in, JSON out, problems as one exception."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

import requests

from daemon.config import DEFAULT_LISTEN

TIMEOUT_SECONDS = 60.0
"""An enqueue may have to wait for the warehouse's word about dates that are done."""

Json = dict[str, Any]


class ApiError(Exception):
    """The daemon refused, or could not be reached; `status` is None then."""

    def __init__(self, message: str, status: int | None = None) -> None:
        self.status = status
        super().__init__(message)


class Client:
    """One daemon's API."""

    def __init__(
        self, url: str | None = None, token: str | None = None, *, timeout: float = TIMEOUT_SECONDS
    ) -> None:
        """Ask at a URL, with a token where there is one.

        Raises:
            ApiError: the token cannot be sent.
        """
        self.url = (url or os.environ.get("BACKFILLD_URL") or f"http://{DEFAULT_LISTEN}").rstrip("/")
        self._timeout = timeout
        self._session = requests.Session()
        # The daemon is local or named on purpose: no proxy of the environment comes in between.
        self._session.trust_env = False
        token = token or os.environ.get("BACKFILLD_TOKEN")
        if token:
            if not re.fullmatch(r"[!-~]+", token):
                raise ApiError("BACKFILLD_TOKEN has a character that no token has", 401)
            self._session.headers["Authorization"] = f"Bearer {token}"

    def get(self, path: str, **query: object) -> Json:
        """GET a path.

        Raises:
            ApiError: it was refused or not answered.
        """
        return self._json(self._send("GET", path, params=_given(query)))

    def post(self, path: str, body: Mapping[str, object] | None = None) -> Json:
        """POST a body to a path.

        Raises:
            ApiError: it was refused or not answered.
        """
        return self._json(self._send("POST", path, json=_given(body or {})))

    def delete(self, path: str, **query: object) -> Json:
        """DELETE a path.

        Raises:
            ApiError: it was refused or not answered.
        """
        return self._json(self._send("DELETE", path, params=_given(query)))

    def raw(self, path: str, **query: object) -> tuple[bytes, Mapping[str, str]]:
        """GET whatever is there, and the headers it came with.

        Raises:
            ApiError: it was refused or not answered.
        """
        answer = self._send("GET", path, params=_given(query))
        return answer.content, answer.headers

    def text(self, path: str, **query: object) -> tuple[str, Mapping[str, str]]:
        """GET a text, and the headers it came with.

        Raises:
            ApiError: it was refused or not answered.
        """
        content, headers = self.raw(path, **query)
        return content.decode(errors="replace"), headers

    def all(self, path: str, **query: object) -> Iterator[Json]:
        """All items of a paged list."""
        cursor: str | None = None
        while True:
            page = self.get(path, limit=1000, cursor=cursor, **query)
            yield from page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return

    def _send(self, method: str, path: str, **keywords: Any) -> requests.Response:
        try:
            answer = self._session.request(method, self.url + path, timeout=self._timeout, **keywords)
        except (requests.RequestException, ValueError) as error:
            raise ApiError(
                f"no daemon answers at {self.url}: start one, or set BACKFILLD_URL ({_why(error)})"
            ) from error
        if answer.status_code >= 400:
            raise ApiError(_problem(answer), answer.status_code)
        return answer

    def _json(self, answer: requests.Response) -> Json:
        try:
            body: Json = answer.json()
        except requests.JSONDecodeError as error:
            raise ApiError(f"{self.url} does not speak backfilld's API") from error
        return body


def _given(values: Mapping[str, object]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _why(error: Exception) -> str:
    if isinstance(error, ValueError):
        return "that is no URL; write it like http://127.0.0.1:8484"
    return "timed out" if isinstance(error, requests.Timeout) else "refused or unreachable"


def _problem(answer: requests.Response) -> str:
    """The problem's own words, with the fields at fault."""
    try:
        body = answer.json()
    except requests.JSONDecodeError:
        return f"HTTP {answer.status_code}"
    if not isinstance(body, dict):
        return f"HTTP {answer.status_code}"
    fields = [f"{item['field']}: {item['message']}" for item in body.get("errors", [])]
    return "; ".join(fields) or str(body.get("detail") or body.get("title"))
