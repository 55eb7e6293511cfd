"""What an execution wrote, as far as Cloud Logging has it by now."""

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
from backfilld.daemon.google_errors import FAILURES, root_cause

LINES = 1000
"""How many lines are read, the last ones."""
_LOGGING = "https://logging.googleapis.com"
_FILTER = (
    'resource.type="cloud_run_job" labels."run.googleapis.com/execution_name"="{name}"'
    ' (log_id("run.googleapis.com/stdout") OR log_id("run.googleapis.com/stderr"))'
    ' timestamp>="{since}"'
)


class Output:
    """Reads the output of executions, for one thread."""

    def __init__(self, source: CloudRunSettings) -> None:
        self._source = source

    def of(self, execution: str, since: str) -> str:
        """The last lines, none of before `since` (RFC 3339). Raises Away when they cannot be had."""
        wanted = {
            "resourceNames": [f"projects/{self._source.project}"],
            "filter": _FILTER.format(name=execution.rpartition("/")[2], since=since),
            "orderBy": "timestamp desc",
            "pageSize": LINES,
        }
        try:
            lines = [_line(entry) for entry in islice(self._entries(wanted), LINES)]
        except FAILURES as error:
            raise ApiUnavailable(f"Cloud Logging does not show the output: {root_cause(error)}") from error
        except (TypeError, AttributeError) as error:  # JSON of another shape
            raise ApiUnavailable(f"Cloud Logging gives no usable answer: {error}") from error
        return "".join(f"{line}\n" for line in reversed(lines))

    def _entries(self, wanted: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Page by page: one is empty when Cloud Logging had no time to find more, and names the next."""
        where = f"{self._source.endpoint or _LOGGING}/v2/entries:list"
        give_up_at = time.monotonic() + HTTP_TIMEOUT
        while True:
            answer = self._session.post(where, json=wanted, timeout=HTTP_TIMEOUT)
            answer.raise_for_status()
            page = answer.json()
            yield from page.get("entries", [])
            if not (token := page.get("nextPageToken")):
                return
            if time.monotonic() > give_up_at:
                raise TimeoutError(f"it has not searched all in {HTTP_TIMEOUT:g} s")
            wanted["pageToken"] = token

    @cached_property
    def _session(self) -> AuthorizedSession:
        return AuthorizedSession(credentials(self._source))  # type: ignore[no-untyped-call]


def _line(entry: dict[str, Any]) -> str:
    """A line of output; one of JSON was taken apart by Cloud Logging."""
    fields = entry.get("jsonPayload")
    return str(fields.get("message") or json.dumps(fields)) if fields else str(entry.get("textPayload", ""))
