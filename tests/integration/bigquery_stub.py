"""An HTTP server that answers as BigQuery's API does when things go wrong, by a script of the test's own."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Json = dict[str, Any]
TOKEN = "ya29.for-tests"
"""What the server gives to whoever shows a signed key."""
COLUMNS = ("processor", "date", "n", "games", "good", "hollow")


class Answer(Exception):
    """What the server says instead of a job: an HTTP status and its body."""

    def __init__(self, status: int, body: Json | str) -> None:
        self.status = status
        self.body = body if isinstance(body, str) else json.dumps(body)
        super().__init__(status)


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
    """The stub behind a port of its own."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._serve({})

        def do_POST(self) -> None:
            text = self.rfile.read(int(self.headers["Content-Length"]))
            asks_for_token = self.path == "/token"  # as a form, not as JSON
            self._serve({} if asks_for_token else json.loads(text or b"{}"))

        def _serve(self, body: Json) -> None:
            stub.authorized.append(self.headers["Authorization"])
            try:
                status, text = 200, json.dumps(stub.answer(self.command, self.path, body))
            except Answer as answer:
                status, text = answer.status, answer.body
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        stub.address = f"http://127.0.0.1:{server.server_port}"
        yield stub
        server.shutdown()
        thread.join()
