"""Serves a stand-in of one of Google's APIs at a port of its own."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Json = dict[str, Any]


class Answer(Exception):
    """What the server says instead: an HTTP status and its body."""

    def __init__(self, status: int, body: Json | list[Any] | str) -> None:
        self.status = status
        self.body = body if isinstance(body, str) else json.dumps(body)
        super().__init__(status)


class Dropped(Exception):
    """The connection ends without an answer."""


@contextmanager
def served(answer: Callable[[BaseHTTPRequestHandler, bytes], Json]) -> Iterator[str]:
    """The address of a server that gives `answer`'s to requests with their bodies; it may raise the above."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._serve(b"")

        def do_POST(self) -> None:
            self._serve(self.rfile.read(int(self.headers["Content-Length"])))

        def _serve(self, body: bytes) -> None:
            try:
                status, text = 200, json.dumps(answer(self, body))
            except Answer as told:
                status, text = told.status, told.body
            except Dropped:
                self.close_connection = True
                return
            with suppress(BrokenPipeError, ConnectionResetError):  # the client is dead by now
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
