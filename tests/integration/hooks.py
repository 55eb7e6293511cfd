"""A webhook of the tests' own: a real HTTP server that keeps what it is told, and fails when asked to."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SECRET = "/services/T000/B000/xoxb-secret"


class Hook:
    """What was told, and how the next messages are answered."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}{SECRET}"
        self.told: list[str] = []
        self.refused = 0
        self.status = 200
        self.answering = threading.Event()
        self.answering.set()

    def take(self, path: str, body: Any) -> int:
        """The status that a message is answered with."""
        assert path == SECRET
        assert list(body) == ["text"]
        self.answering.wait()
        if self.status == 200:
            self.told.append(body["text"])
        else:
            self.refused += 1
        return self.status

    def about(self, word: str) -> list[str]:
        """The messages in which a word is."""
        return [text for text in self.told if word in text]


@contextlib.contextmanager
def hook() -> Iterator[Hook]:
    """A webhook that listens on a free port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status = one.take(self.path, body)
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", one.url)
                self.send_header("Content-Length", "0")
                self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    one = Hook(server.server_port)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield one
    finally:
        one.answering.set()
        server.shutdown()
        server.server_close()
        thread.join()
