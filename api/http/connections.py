"""Connections: malformed requests, deadlines, and which connection is closed when there are too many.

waitress reads whole requests without a thread, so a client that sends slowly costs a connection only. This
module adds what waitress lacks: a request has a deadline, and a new connection is always accepted, at the
expense of the one that deserves its place least.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask, WSGITask
from waitress.utilities import RequestEntityTooLarge, RequestHeaderFieldsTooLarge

from backfilld.api.auth.request_guard import LARGEST_BODY
from backfilld.api.problem_responses import MEDIA_TYPE, body_too_large, problem_text

CONNECTIONS = 256
"""Connections that are open at once."""
REQUEST_SECONDS = 20.0
"""A request has to arrive whole within this time of its first byte, and the first one of the connection."""
IDLE_SECONDS = 60.0
"""A connection between two requests is closed after this time."""
SEND_SECONDS = 20.0
"""A connection is closed when its client has taken no byte of a response for this time."""
CHECK_SECONDS = 1.0
"""How often deadlines are checked."""

TLS_HANDSHAKE = b"\x16"
"""The first byte of a TLS connection. No HTTP request starts with it."""
NO_TLS = (
    b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain\r\n\r\n"
    b"This port speaks http://, not https://.\n"
)
_LOOPBACK = ("127.", "::1", "::ffff:127.")


class _Parser(HTTPRequestParser):  # type: ignore[misc]
    """Refuses a request whose length can be read in two ways: a proxy before it may read the other one."""

    def parse_header(self, header_plus: bytes) -> None:
        super().parse_header(header_plus)
        if not self.chunked and "TRANSFER_ENCODING" not in self.headers:
            return
        if "CONTENT_LENGTH" in self.headers:
            raise ParsingError("Content-Length and Transfer-Encoding exclude each other: send one of them")
        if self.version != "1.1":
            raise ParsingError("Transfer-Encoding needs HTTP/1.1")


class _Task(WSGITask):  # type: ignore[misc]
    """Keeps the connection open after a response without a body, such as 304."""

    def set_close_on_finish(self) -> None:
        wants_close = self.request.headers.get("CONNECTION", "").lower() == "close"
        if self.has_body or self.version != "1.1" or wants_close:
            super().set_close_on_finish()


class _ErrorTask(ErrorTask):  # type: ignore[misc]
    """Answers a request that the server itself refuses with a problem, as the app does."""

    def execute(self) -> None:
        error, limits = self.request.error, self.channel.adj
        detail = str(error.body)
        if isinstance(error, RequestHeaderFieldsTooLarge):
            size = limits.max_request_header_size >> 10
            detail = f"the headers are larger than {size} KiB; send fewer or shorter ones"
        elif isinstance(error, RequestEntityTooLarge):
            detail = body_too_large(LARGEST_BODY)
        content = problem_text(error.code, detail, instance="/").encode()
        self.status = f"{error.code} {error.reason}"
        self.response_headers.append(("Content-Type", MEDIA_TYPE))
        self.set_close_on_finish()
        self.content_length = len(content)
        self.write(content)


class Channel(HTTPChannel):  # type: ignore[misc]
    """One connection."""

    parser_class = _Parser
    task_class = _Task
    error_task_class = _ErrorTask

    def __init__(self, *args: Any, **keys: Any) -> None:
        super().__init__(*args, **keys)
        self.waiting_since = self.creation_time
        """When the connection was opened, its last response ended, or the request under way began."""
        self.answered = False
        self.closed = False
        self.operator = False
        """Whether its latest request had the scope `operate`."""

    def handle_close(self) -> None:
        """Close the connection."""
        self.closed = True
        super().handle_close()

    # waitress polls the connections that it listed before some of them were closed. A new connection with the
    # descriptor of a closed one would get its event, and be closed for it.
    def readable(self) -> bool:
        """Whether to poll for data."""
        return not self.closed and bool(super().readable())

    def writable(self) -> bool:
        """Whether to poll for room to send, or to be closed."""
        return not self.closed and bool(super().writable())

    def received(self, data: bytes) -> bool:
        """Take in a part of a request. TLS is refused at once: it never has the end of a request."""
        if data.startswith(TLS_HANDSHAKE) and not self.request:
            self.socket.send(NO_TLS)
            self.will_close = True
            return False
        if self.request is None:
            self.waiting_since = time.time()
        return bool(super().received(data))

    def service(self) -> None:
        """Answer the first request."""
        super().service()
        self.answered = True
        self.waiting_since = time.time()

    @property
    def idle(self) -> bool:
        """Whether it has no request being received, processed or answered."""
        return not (self.request or self.requests or self.total_outbufs_len)

    def overdue(self, now: float) -> bool:
        """Whether its client had its time: to send a request, or to take the response."""
        if self.total_outbufs_len:
            return bool(now - self.last_activity > SEND_SECONDS)
        if self.requests:
            return False
        between = self.answered and self.request is None
        return bool(now - self.waiting_since > (IDLE_SECONDS if between else REQUEST_SECONDS))


class ConnectionServer(TcpWSGIServer):  # type: ignore[misc]
    """Accepts every connection, and closes those that are overdue or one too many."""

    channel_class = Channel

    def __init__(self, *args: Any, **keys: Any) -> None:
        self._closing: list[Channel] = []
        super().__init__(*args, **keys)

    def readable(self) -> bool:
        """Whether it accepts connections. waitress asks before each poll, when a connection may be closed."""
        for channel in self._closing:
            channel.handle_close()
        self._closing.clear()
        return bool(super().readable())

    def maintenance(self, now: float) -> None:
        """Close the connections that are overdue."""
        for channel in list(self.active_channels.values()):
            if channel.overdue(now):
                channel.handle_close()

    def handle_accept(self) -> None:
        """Accept a connection; if that is one too many, close another."""
        if len(self.active_channels) - len(self._closing) >= CONNECTIONS:
            self._close_least_deserving()
        super().handle_accept()

    def _close_least_deserving(self) -> None:
        channels = [c for c in self.active_channels.values() if not c.will_close]
        crowd = Counter(channel.addr[0] for channel in channels if not channel.operator)
        channel = min(channels, key=lambda channel: _claim(channel, crowd))
        # Not closed here: the poll under way may have an event for its descriptor, which would be reused.
        channel.will_close = True
        self._closing.append(channel)


def _claim(channel: Channel, crowd: Counter[str]) -> tuple[bool, int, bool, bool, bool, float]:
    """How much a connection deserves to stay, in this order: operators, addresses with few connections,
    this machine, requests under way, clients that sent one before, the latest activity."""
    address = channel.addr[0]
    return (
        channel.operator,
        -crowd[address],
        address.startswith(_LOOPBACK),
        bool(channel.requests),
        channel.answered,
        channel.last_activity,
    )
