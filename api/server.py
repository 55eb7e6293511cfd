"""The HTTP server in the daemon's process: waitress on a thread, with a graceful close."""

from __future__ import annotations

import contextlib
import errno
import logging
import socket
import threading
import time

from flask import Flask
from waitress import wasyncore
from waitress.channel import HTTPChannel
from waitress.server import create_server

from backfilld.api.auth.request_guard import LARGEST_BODY
from backfilld.daemon.settings import SettingsError

THREADS = 8
CLOSE_SECONDS = 10.0
"""How long a closing server waits for requests in flight."""
POLL_SECONDS = 0.02
"""How often a closing server checks whether requests are in flight."""
IDLE_SECONDS = 60
"""A connection without traffic is closed after this time."""
LARGEST_HEAD = 32 << 10
"""Bytes of the request line and headers."""


TLS_HANDSHAKE = b"\x16"
"""The first byte of a TLS connection. No HTTP request starts with it."""
NO_TLS = (
    b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain\r\n\r\n"
    b"This port speaks http://, not https://.\n"
)


class _Channel(HTTPChannel):  # type: ignore[misc]
    """Refuses TLS at once: waitress would wait for the end of a request until the connection is idle."""

    def received(self, data: bytes) -> bool:
        if not data.startswith(TLS_HANDSHAKE) or self.request:
            return bool(super().received(data))
        self.socket.send(NO_TLS)
        self.will_close = True
        return False


class Server:
    """Listens once it is created; serves requests after `start`. Port 0 takes any free port."""

    def __init__(self, app: Flask, host: str, port: int) -> None:
        """Bind the address.

        Raises:
            SettingsError: the address is in use or does not belong to this machine.
        """
        self._server = create_server(
            app,
            sockets=[_bound(host, port)],
            threads=THREADS,
            ident="",
            channel_timeout=IDLE_SECONDS,
            cleanup_interval=IDLE_SECONDS / 4,
            max_request_header_size=LARGEST_HEAD,
            # Above the limit of the app, so that most bodies that are too large get a problem in JSON.
            max_request_body_size=2 * LARGEST_BODY,
            clear_untrusted_proxy_headers=True,
        )
        self._server.channel_class = _Channel
        self._thread = threading.Thread(target=self._server.run, name="http", daemon=True)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._server.effective_port)

    def start(self) -> None:
        """Serve requests."""
        self._thread.start()

    def close(self, grace: float = CLOSE_SECONDS) -> None:
        """Accept no more requests, finish those in flight within `grace` seconds, and stop.

        Connections belong to the thread of the server. That thread closes each of them as soon as it is
        idle; the trigger that wakes the thread is closed last.
        """
        noise_filter = _NoiseFilter()
        logging.getLogger("waitress").addFilter(noise_filter)
        if self._thread.is_alive():
            self._run_on_server_thread(self._stop_listening)
            self._drain(time.monotonic() + grace)
        self._server.task_dispatcher.shutdown(timeout=1)
        if self._thread.is_alive():
            self._run_on_server_thread(self._end)
            self._thread.join(grace)
        else:
            self._end()
        self._server.trigger.close()
        logging.getLogger("waitress").removeFilter(noise_filter)

    def _drain(self, deadline: float) -> None:
        while self._server.active_channels and time.monotonic() < deadline:
            self._run_on_server_thread(self._close_idle)
            time.sleep(POLL_SECONDS)

    def _run_on_server_thread(self, task: object) -> None:
        self._server.trigger.pull_trigger(task)

    def _stop_listening(self) -> None:
        wasyncore.dispatcher.close(self._server)

    def _close_idle(self) -> None:
        for channel in list(self._server.active_channels.values()):
            if _idle(channel):
                channel.will_close = True

    def _end(self) -> None:
        """Close everything except the trigger, which `close` may still use."""
        self._server.trigger.del_channel()
        wasyncore.close_all(self._server._map, ignore_all=True)


def _idle(channel: HTTPChannel) -> bool:
    """Whether the connection has no request being received, processed or answered."""
    return not (channel.request or channel.requests or channel.total_outbufs_len)


def _bound(host: str, port: int) -> socket.socket:
    """One listening socket, on the first address of a name."""
    with contextlib.ExitStack() as undo:
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            bound = undo.enter_context(socket.socket(family, kind, protocol))
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
        except (OSError, UnicodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "that is not a host name"
            raise SettingsError(f"cannot listen on {host}:{port}: {reason}; choose --listen") from error
        undo.pop_all()
        return bound


class _NoiseFilter(logging.Filter):
    """Drops waitress's error about a connection closed during a response that outlasted `grace`."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        return not (isinstance(error, OSError) and error.errno == errno.EBADF)
