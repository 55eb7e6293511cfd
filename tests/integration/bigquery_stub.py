"""An HTTP server that answers as BigQuery's API does when things go wrong, by a script of the test's own."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

from tests.integration.served_api import Answer, Json, served

TOKEN = "ya29.for-tests"
"""What the server gives to whoever shows a signed key."""
COLUMNS = ("processor", "date", "n", "figures")


def refuse(status: int, reason: str, message: str) -> Answer:
    """An error as BigQuery words it."""
    error = {"code": status, "message": message, "errors": [{"reason": reason, "message": message}]}
    return Answer(status, {"error": error})


@dataclass
class Stub:
    """`on_query(sql)` may raise an Answer; where `ends(sql)` is False, the job runs for ever.

    `fails(sql)` may give the reason and the message with which the job ends.
    """

    on_query: Callable[[str], None] = lambda sql: None
    ends: Callable[[str], bool] = lambda sql: True
    fails: Callable[[str], Json | None] = lambda sql: None
    billed: int = 0
    processed: int = 0
    address: str = ""
    jobs: list[Json] = field(default_factory=list)
    """The configurations of the jobs that were sent."""
    cancelled: list[str] = field(default_factory=list)
    references: list[Json] = field(default_factory=list)
    """Where each job was sent to: project, location and id."""
    authorized: list[str | None] = field(default_factory=list)
    """The Authorization of each request."""

    def answer(self, method: str, path: str, body: Json) -> Json:
        """One request's answer."""
        path = path.partition("?")[0]
        if path == "/token":
            return {"access_token": TOKEN, "expires_in": 3600, "token_type": "Bearer"}
        if method == "POST" and path.endswith("/jobs"):
            self.jobs.append(body["configuration"])
            self.references.append(body["jobReference"])
            self.on_query(body["configuration"]["query"]["query"])
            return self.job(body["jobReference"], body["configuration"])
        identity = path.removesuffix("/cancel").rsplit("/", 1)[-1]
        reference = {"projectId": "p", "jobId": identity}
        if path.endswith("/cancel"):
            self.cancelled.append(identity)
            return {"job": self.job(reference, self._sent(identity))}
        if "/queries/" in path:
            schema = {"fields": [{"name": name, "type": "STRING"} for name in COLUMNS]}
            return {"jobComplete": True, "totalRows": "0", "schema": schema, "jobReference": reference}
        return self.job(reference, self._sent(identity))

    def _sent(self, identity: str) -> Json:
        """The configuration of a job; several may be under way at once."""
        sent = dict(zip([one["jobId"] for one in self.references], self.jobs, strict=True))
        return sent[identity]

    def job(self, reference: Json, configuration: Json) -> Json:
        """A job as the API shows it."""
        sql = configuration["query"]["query"]
        status: Json = {"state": "DONE" if self.ends(sql) else "RUNNING"}
        if error := self.fails(sql):
            status |= {"errorResult": error, "errors": [error]}
        figures = {"totalBytesBilled": str(self.billed), "totalBytesProcessed": str(self.processed)}
        return {
            "jobReference": reference,
            "configuration": configuration,
            "status": status,
            "statistics": {**figures, "query": figures},
        }


@contextmanager
def serving(stub: Stub) -> Iterator[Stub]:
    """The stub at a port of its own."""

    def answer(request: BaseHTTPRequestHandler, body: bytes) -> Json:
        stub.authorized.append(request.headers["Authorization"])
        asks_for_token = request.path == "/token"  # as a form, not as JSON
        return stub.answer(request.command, request.path, {} if asks_for_token else json.loads(body or b"{}"))

    with served(answer) as stub.address:
        yield stub
