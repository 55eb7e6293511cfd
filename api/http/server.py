"""The HTTP server in the daemon's process: waitress on a thread, with a graceful close."""

from __future__ import annotations

import errno
import logging
import socket
import sys
import threading
import time
from collections.abc import Callable, Hashable

from flask import Flask
from waitress import wasyncore
from waitress.adjustments import Adjustments

from backfilld.api.auth.request_guard import EVERYONE, LARGEST_BODY, Principal
from backfilld.api.auth.tokens import Scope
from backfilld.api.http.connections import CHECK_SECONDS, Channel, ConnectionServer
from backfilld.api.http.lane_threads import Lanes
from backfilld.api.http.listening_socket import bind
from backfilld.api.http.request_lanes import UNLIMITED, Lane, lane_of

CLOSE_SECONDS = 10.0
"""How long a closing server waits for requests in flight."""
POLL_SECONDS = 0.02
"""How often a closing server checks whether requests are in flight."""
FIRST_REQUEST_SECONDS = 1.0
"""How long a closing server waits for the first request of a connection that it has just accepted."""
LARGEST_HEAD = 32 << 10
"""Bytes of the request line and headers."""

Identify = Callable[[str, str], Principal | None]
"""The client of a request by its headers Authorization and Cookie; None if they are not known."""


class Server:
    """Listens once it is created; serves requests after `start`. Port 0 takes any free port."""

    def __init__(
        self,
        app: Flask,
        host: str,
        port: int,
        identify: Identify = lambda authorization, cookie: EVERYONE,
        *,
        inherited: socket.socket | None = None,
    ) -> None:
        """Bind the address, or take the listening socket that is `inherited` from before a reload.

        Raises:
            SettingsError: the address is in use or does not belong to this machine.
        """
        self._identify = identify
        bound = inherited or bind(host, port)
        settings = Adjustments(
            sockets=[bound],
            ident="",
            cleanup_interval=CHECK_SECONDS,
            connection_limit=sys.maxsize,  # the server closes connections itself
            asyncore_use_poll=True,  # select() fails beyond descriptor 1023
            max_request_header_size=LARGEST_HEAD,
            # Above the limit of the app, so that most bodies that are too large get a problem in JSON.
            max_request_body_size=2 * LARGEST_BODY,
            clear_untrusted_proxy_headers=True,
        )
        self.socket = bound
        """The listening socket."""
        self._lanes = Lanes(self._place)
        address = (bound.family, bound.type, bound.proto, bound.getsockname())
        self._server = ConnectionServer(
            app, {}, True, bound, dispatcher=self._lanes, adj=settings, sockinfo=address, bind_socket=False
        )
        self._thread = threading.Thread(target=self._server.run, name="http", daemon=True)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._server.effective_port)

    def start(self) -> None:
        """Serve requests."""
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the thread that accepts connections is alive."""
        return self._thread.is_alive()

    def _place(self, channel: Channel) -> tuple[Lane, Hashable]:
        """The lane of a request, and the client whose turn it takes: a token, else an address."""
        request, address = channel.requests[0], channel.addr[0]
        if request.error:
            return Lane.READ, address
        client = self._identify(request.headers.get("AUTHORIZATION", ""), request.headers.get("COOKIE", ""))
        channel.operator = client is not None and client.scope is Scope.OPERATE
        lane = lane_of(request.command.upper(), request.path, operator=channel.operator)
        name = client.name if client is not None else ""
        return lane, (address, name, request.path if lane in UNLIMITED else "")

    def close(self, grace: float = CLOSE_SECONDS, *, keep_listening: bool = False) -> None:
        """Accept no more requests, finish those in flight within `grace` seconds, and stop.

        With `keep_listening`, connections queue in the listening socket until another server takes it.
        Connections belong to the thread of the server. That thread closes each of them as soon as it is
        idle; the trigger that wakes the thread is closed last.
        """
        noise_filter = _NoiseFilter()
        logging.getLogger("waitress").addFilter(noise_filter)
        self._lanes.hurry()
        if self._thread.is_alive():
            self._run_on_server_thread(self._stop_accepting if keep_listening else self._stop_listening)
            self._drain(time.monotonic() + grace)
        self._lanes.shutdown(timeout=1)
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

    def _stop_accepting(self) -> None:
        self._server.del_channel()

    def _stop_listening(self) -> None:
        wasyncore.dispatcher.close(self._server)

    def _close_idle(self) -> None:
        """Close the connections without a request. A client that has just connected sends one at once."""
        recently = time.time() - FIRST_REQUEST_SECONDS
        for channel in list(self._server.active_channels.values()):
            if channel.idle and (channel.answered or channel.creation_time < recently):
                channel.will_close = True

    def _end(self) -> None:
        """Close everything except the trigger, which `close` may still use."""
        self._server.trigger.del_channel()
        wasyncore.close_all(self._server._map, ignore_all=True)


class _NoiseFilter(logging.Filter):
    """Drops waitress's error about a connection closed during a response that outlasted `grace`."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        return not (isinstance(error, OSError) and error.errno == errno.EBADF)
