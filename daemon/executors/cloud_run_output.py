"""What an execution wrote, as far as Cloud Logging has it by now."""

from __future__ import annotations

import json
from functools import cached_property
from typing import Any

from google.auth.transport.requests import AuthorizedSession

from daemon.executors.cloud_run_api import HTTP_TIMEOUT, Away, credentials
from daemon.google_errors import FAILURES, root_cause
from state.sources import CloudRunJobs

LINES = 1000
"""How many lines are read, the last ones."""
_LOGGING = "https://logging.googleapis.com"
_FILTER = (
    'resource.type="cloud_run_job" labels."run.googleapis.com/execution_name"="{name}"'
    ' (log_id("run.googleapis.com/stdout") OR log_id("run.googleapis.com/stderr"))'
)


class Output:
    """Reads the output of executions, for one thread."""

    def __init__(self, source: CloudRunJobs) -> None:
        self._source = source

    def of(self, execution: str) -> str:
        """The last lines. Raises Away, within HTTP_TIMEOUT, when they cannot be had."""
        wanted = {
            "resourceNames": [f"projects/{self._source.project}"],
            "filter": _FILTER.format(name=execution.rpartition("/")[2]),
            "orderBy": "timestamp desc",
            "pageSize": LINES,
        }
        where = f"{self._source.endpoint or _LOGGING}/v2/entries:list"
        try:
            answer = self._session.post(where, json=wanted, timeout=HTTP_TIMEOUT)
            answer.raise_for_status()
            lines = [_line(entry) for entry in answer.json().get("entries", [])]
        except FAILURES as error:
            raise Away(f"Cloud Logging does not show the output: {root_cause(error)}") from error
        except (TypeError, AttributeError) as error:  # JSON of another shape
            raise Away(f"Cloud Logging gives no usable answer: {error}") from error
        return "".join(f"{line}\n" for line in reversed(lines))

    @cached_property
    def _session(self) -> AuthorizedSession:
        return AuthorizedSession(credentials(self._source))  # type: ignore[no-untyped-call]


def _line(entry: dict[str, Any]) -> str:
    """A line of output; one of JSON was taken apart by Cloud Logging."""
    fields = entry.get("jsonPayload")
    return str(fields.get("message") or json.dumps(fields)) if fields else str(entry.get("textPayload", ""))
