"""The HTTP server in the daemon's process: waitress on a thread, closed so that no answer is lost."""

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
"""How long requests in flight may take to be answered when the server closes."""
LOOK_SECONDS = 0.02
"""How often a closing server looks whether all are answered."""
SILENT_SECONDS = 60
"""A connection that says nothing for so long is closed."""
LARGEST_HEAD = 32 << 10
"""Bytes of a request's line and headers."""


class Server:
    """Listens from the moment it is made; answers after `start`. Port 0 takes any free one."""

    def __init__(self, app: Flask, host: str, port: int) -> None:
        """Bind the address.

        Raises:
            SettingsError: the address is taken or not this machine's.
        """
        self._server = create_server(
            app,
            sockets=[_bound(host, port)],
            threads=THREADS,
            ident="",
            channel_timeout=SILENT_SECONDS,
            cleanup_interval=SILENT_SECONDS / 4,
            max_request_header_size=LARGEST_HEAD,
            # Above the app's own limit, so that most of what is too large gets its problem in JSON.
            max_request_body_size=2 * LARGEST_BODY,
            clear_untrusted_proxy_headers=True,
        )
        self._thread = threading.Thread(target=self._server.run, name="http", daemon=True)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._server.effective_port)

    def start(self) -> None:
        """Answer requests."""
        self._thread.start()

    def close(self, grace: float = CLOSE_SECONDS) -> None:
        """Take no more requests, answer those in flight within `grace` seconds, and end.

        Connections belong to the server's own thread: it is asked to close them, one by one, as soon as
        each is idle, and its own means to be asked go last.
        """
        silence = _Noise()
        logging.getLogger("waitress").addFilter(silence)
        if self._thread.is_alive():
            self._ask(self._stop_listening)
            self._drain(time.monotonic() + grace)
        self._server.task_dispatcher.shutdown(timeout=1)
        if self._thread.is_alive():
            self._ask(self._end)
            self._thread.join(grace)
        else:
            self._end()
        self._server.trigger.close()
        logging.getLogger("waitress").removeFilter(silence)

    def _drain(self, deadline: float) -> None:
        while self._server.active_channels and time.monotonic() < deadline:
            self._ask(self._close_idle)
            time.sleep(LOOK_SECONDS)

    def _ask(self, what: object) -> None:
        """Have the server's thread do something in between."""
        self._server.trigger.pull_trigger(what)

    def _stop_listening(self) -> None:
        wasyncore.dispatcher.close(self._server)

    def _close_idle(self) -> None:
        for channel in list(self._server.active_channels.values()):
            if _idle(channel):
                channel.will_close = True

    def _end(self) -> None:
        """Close all but the trigger: whoever has asked for this may be about to pull it."""
        self._server.trigger.del_channel()
        wasyncore.close_all(self._server._map, ignore_all=True)


def _idle(channel: HTTPChannel) -> bool:
    """Whether nothing of a request has come, is worked on, or is still to be sent."""
    return not (channel.request or channel.requests or channel.total_outbufs_len)


def _bound(host: str, port: int) -> socket.socket:
    """One listening socket: a name with several addresses gives the first."""
    with contextlib.ExitStack() as undo:
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            bound = undo.enter_context(socket.socket(family, kind, protocol))
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
        except (OSError, UnicodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "that is no name of a machine"
            raise SettingsError(f"cannot listen on {host}:{port}: {why}; choose --listen") from error
        undo.pop_all()
        return bound


class _Noise(logging.Filter):
    """Drops what waitress says of a connection that closes under an answer which outlasted the grace."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        return not (isinstance(error, OSError) and error.errno == errno.EBADF)
