"""The API as the command line uses it: JSON in, JSON out, problems as one exception."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

import requests

from backfilld.daemon.settings import DEFAULT_LISTEN
from backfilld.state.errors import BackfilldError

TIMEOUT_SECONDS = 60.0
"""An enqueue may have to wait for the warehouse's word about dates that are done."""

Json = dict[str, Any]


class ApiError(BackfilldError):
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
        self._session.verify = os.environ.get("REQUESTS_CA_BUNDLE") or True
        token = token or os.environ.get("BACKFILLD_TOKEN")
        if token:
            if not re.fullmatch(r"[!-~]+", token):
                raise ApiError("BACKFILLD_TOKEN has a character that no token has; paste bfd_... again", 401)
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
        # A redirect is not followed: it would make a GET of a POST, and its answer would pass for the POST's.
        keywords |= {"timeout": self._timeout, "allow_redirects": False}
        try:
            answer = self._session.request(method, self.url + path, **keywords)
        except (OSError, ValueError) as error:
            raise ApiError(self._unanswered(method, error)) from error
        if answer.is_redirect:
            where = answer.headers["Location"]
            raise ApiError(f"{self.url} sends elsewhere, to {where}: set BACKFILLD_URL to that server", 400)
        if answer.status_code >= 400:
            raise ApiError(_problem(answer), answer.status_code)
        return answer

    def _unanswered(self, method: str, error: Exception) -> str:
        if isinstance(error, requests.ReadTimeout):
            may_be = "" if method == "GET" else ", and may do it all the same: look with backfilld status"
            return f"{self.url} has not answered within {self._timeout:g} s{may_be}"
        if isinstance(error, requests.exceptions.SSLError) or type(error) is OSError:  # no such bundle
            why = getattr(error.args[0], "reason", error)
            return f"no TLS with {self.url}: {why}; an authority of your own is named by REQUESTS_CA_BUNDLE"
        return f"no daemon answers at {self.url}: start one, or set BACKFILLD_URL ({_why(error)})"

    def _json(self, answer: requests.Response) -> Json:
        try:
            body = answer.json()
        except requests.JSONDecodeError:
            body = None
        if not isinstance(body, dict):
            raise self.stranger()
        return body

    def stranger(self) -> ApiError:
        """The complaint that somebody else answers."""
        return ApiError(f"{self.url} does not speak backfilld's API; correct --url or BACKFILLD_URL")


def _given(values: Mapping[str, object]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _why(error: Exception) -> str:
    if isinstance(error, ValueError):
        return "that is no URL; write it like http://127.0.0.1:8484"
    return "timed out" if isinstance(error, requests.Timeout) else "refused or unreachable"


def _problem(answer: requests.Response) -> str:
    """The problem's own words, with the fields at fault; of another server's, the status and who that is."""
    try:
        body = answer.json()
        fields = [f"{item['field']}: {item['message']}" for item in body.get("errors", [])]
        told = "; ".join(fields) or str(body["detail"])
    except (AttributeError, KeyError, TypeError, requests.JSONDecodeError):
        return f"HTTP {answer.status_code} from {answer.url}: is that backfilld?"
    return f"{told}; set BACKFILLD_TOKEN to one that the daemon knows" if answer.status_code == 401 else told
