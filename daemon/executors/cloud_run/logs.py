"""Reads the output of executions from Cloud Logging."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from functools import cached_property
from itertools import islice
from typing import Any

from google.auth.transport.requests import AuthorizedSession

from backfilld.daemon.executors.cloud_run.client import HTTP_TIMEOUT, ApiUnavailable, credentials
from backfilld.daemon.executors.cloud_run.settings import CloudRunSettings
from backfilld.daemon.google_error_causes import FAILURES, root_cause

LINES = 1000
"""How many of the last lines are read."""
_LOGGING = "https://logging.googleapis.com"
_FILTER = (
    'resource.type="cloud_run_job" labels."run.googleapis.com/execution_name"="{name}"'
    ' (log_id("run.googleapis.com/stdout") OR log_id("run.googleapis.com/stderr"))'
    ' timestamp>="{since}"'
)


class OutputReader:
    """Reads the output of executions, for one thread."""

    def __init__(self, settings: CloudRunSettings) -> None:
        self._settings = settings

    def read(self, execution: str, since: str) -> str:
        """The last lines since `since` (RFC 3339). Raises ApiUnavailable when they cannot be read."""
        request = {
            "resourceNames": [f"projects/{self._settings.project}"],
            "filter": _FILTER.format(name=execution.rpartition("/")[2], since=since),
            "orderBy": "timestamp desc",
            "pageSize": LINES,
        }
        try:
            lines = [_line(entry) for entry in islice(self._entries(request), LINES)]
        except FAILURES as error:
            raise ApiUnavailable(f"Cloud Logging does not show the output: {root_cause(error)}") from error
        except (TypeError, AttributeError) as error:  # JSON of another shape
            raise ApiUnavailable(f"Cloud Logging gives no usable answer: {error}") from error
        return "".join(f"{line}\n" for line in reversed(lines))

    def _entries(self, request: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """All pages. A page is empty, and names the next, when Cloud Logging ran out of time."""
        url = f"{self._settings.endpoint or _LOGGING}/v2/entries:list"
        give_up_at = time.monotonic() + HTTP_TIMEOUT
        while True:
            answer = self._session.post(url, json=request, timeout=HTTP_TIMEOUT)
            answer.raise_for_status()
            page = answer.json()
            yield from page.get("entries", [])
            if not (token := page.get("nextPageToken")):
                return
            if time.monotonic() > give_up_at:
                raise TimeoutError(f"the search takes longer than {HTTP_TIMEOUT:g} s")
            request["pageToken"] = token

    @cached_property
    def _session(self) -> AuthorizedSession:
        return AuthorizedSession(credentials(self._settings))  # type: ignore[no-untyped-call]


def _line(entry: dict[str, Any]) -> str:
    """A line of output; Cloud Logging has parsed a line that is JSON."""
    fields = entry.get("jsonPayload")
    return str(fields.get("message") or json.dumps(fields)) if fields else str(entry.get("textPayload", ""))
