"""The API client of the command line: JSON in, JSON out, every problem as one exception."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

import requests

from backfilld.daemon.settings import DEFAULT_LISTEN
from backfilld.state.base_errors import BackfilldError

TIMEOUT_SECONDS = 60.0
"""An enqueue may wait for a warehouse query about dates that are done."""

Json = dict[str, Any]
_PLAIN_ANSWER = re.compile("WRONG_VERSION_NUMBER|RECORD_LAYER_FAILURE")
"""OpenSSL's words for an answer without TLS, by its version."""


class ApiError(BackfilldError):
    """The daemon refused, or could not be reached; then `status` is None."""

    def __init__(self, message: str, status: int | None = None) -> None:
        self.status = status
        super().__init__(message)


class Client:
    """The API of one daemon."""

    def __init__(
        self, url: str | None = None, token: str | None = None, *, timeout: float = TIMEOUT_SECONDS
    ) -> None:
        """Connect to a URL, with a token if there is one.

        Raises:
            ApiError: the token cannot be sent.
        """
        self.url = (url or os.environ.get("BACKFILLD_URL") or f"http://{DEFAULT_LISTEN}").rstrip("/")
        self._timeout = timeout
        self._session = requests.Session()
        # The daemon is local, or named on purpose: proxies of the environment do not apply.
        self._session.trust_env = False
        self._session.verify = os.environ.get("REQUESTS_CA_BUNDLE") or True
        token = token or os.environ.get("BACKFILLD_TOKEN")
        if token:
            if not re.fullmatch(r"[!-~]+", token):
                raise ApiError("BACKFILLD_TOKEN has a character that no token has; paste bfd_... again", 401)
            self._session.headers["Authorization"] = f"Bearer {token}"

    def get(self, path: str, **query: object) -> Json:
        """GET a path.

        Raises:
            ApiError: the daemon refused or did not answer.
        """
        return self._json(self._send("GET", path, params=_without_none(query)))

    def post(self, path: str, body: Mapping[str, object] | None = None) -> Json:
        """POST a body to a path.

        Raises:
            ApiError: the daemon refused or did not answer.
        """
        return self._json(self._send("POST", path, json=_without_none(body or {})))

    def delete(self, path: str, **query: object) -> Json:
        """DELETE a path.

        Raises:
            ApiError: the daemon refused or did not answer.
        """
        return self._json(self._send("DELETE", path, params=_without_none(query)))

    def raw(self, path: str, **query: object) -> tuple[bytes, Mapping[str, str]]:
        """GET the bytes of a response, and its headers.

        Raises:
            ApiError: the daemon refused or did not answer.
        """
        answer = self._send("GET", path, params=_without_none(query))
        return answer.content, answer.headers

    def text(self, path: str, **query: object) -> tuple[str, Mapping[str, str]]:
        """GET a text, and the headers of the response.

        Raises:
            ApiError: the daemon refused or did not answer.
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
        # Redirects are not followed: a POST would become a GET, and its response would look like the POST's.
        keywords |= {"timeout": self._timeout, "allow_redirects": False}
        try:
            answer = self._session.request(method, self.url + path, **keywords)
        except (OSError, ValueError) as error:
            raise ApiError(self._connection_error(method, error)) from error
        if answer.is_redirect:
            where = answer.headers["Location"]
            raise ApiError(f"{self.url} redirects to {where}: set BACKFILLD_URL to that server", 400)
        if answer.status_code >= 400:
            raise ApiError(_problem(answer), answer.status_code)
        return answer

    def _connection_error(self, method: str, error: Exception) -> str:
        if isinstance(error, requests.ReadTimeout):
            applied = (
                "" if method == "GET" else "; it may still apply the change: check with backfilld status"
            )
            return f"{self.url} did not answer within {self._timeout:g} s{applied}"
        if isinstance(error, requests.exceptions.SSLError) or type(error) is OSError:  # no such bundle
            reason = getattr(error.args[0], "reason", error)
            if _PLAIN_ANSWER.search(str(reason)):
                return f"{self.url} answers without TLS: write http:// in --url or BACKFILLD_URL"
            return f"no TLS with {self.url}: {reason}; set REQUESTS_CA_BUNDLE for your own authority"
        return f"no daemon answers at {self.url}: start one, or set BACKFILLD_URL ({_reason(error)})"

    def _json(self, answer: requests.Response) -> Json:
        try:
            body = answer.json()
        except requests.JSONDecodeError:
            body = None
        if not isinstance(body, dict):
            raise self.not_backfilld_error()
        return body

    def not_backfilld_error(self) -> ApiError:
        """The error that another server answers at the URL."""
        return ApiError(f"{self.url} does not speak backfilld's API; correct --url or BACKFILLD_URL")


def _without_none(values: Mapping[str, object]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _reason(error: Exception) -> str:
    if isinstance(error, ValueError):
        return "not a URL; write it like http://127.0.0.1:8484"
    return "timed out" if isinstance(error, requests.Timeout) else "refused or unreachable"


def _problem(answer: requests.Response) -> str:
    """The detail of a problem, with the fields at fault; for another server, its status and URL."""
    try:
        body = answer.json()
        fields = [f"{item['field']}: {item['message']}" for item in body.get("errors", [])]
        message = "; ".join(fields) or str(body["detail"])
    except (AttributeError, KeyError, TypeError, requests.JSONDecodeError):
        return f"HTTP {answer.status_code} from {answer.url}: is that backfilld?"
    if answer.status_code == 401:
        return f"{message}; set BACKFILLD_TOKEN to one that the daemon knows"
    return message
