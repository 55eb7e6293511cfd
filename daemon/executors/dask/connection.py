"""Connections to a Dask scheduler that are closed explicitly, and what TLS lacks for one."""

from __future__ import annotations

import ssl
from contextlib import ExitStack, suppress

from distributed import Client
from distributed.client import ClosedClientError, FutureCancelledError
from distributed.security import Security
from tornado.iostream import IOStream
from tornado.platform.asyncio import AsyncIOLoop

from backfilld.state.base_errors import BackfilldError


class TlsProblem(BackfilldError):
    """What a TLS connection lacks: certificates in this process's configuration, or acceptance."""


UNAVAILABLE = (OSError, ClosedClientError, FutureCancelledError, TlsProblem)
"""Raised while the scheduler, or the worker that holds a result, does not answer."""
ANSWER_SECONDS = 5.0
"""How long a scheduler has to answer. Dask itself waits until the connection breaks."""

_CLOSE_SECONDS = 1.0
_TLS_KEYS = {"ca_file": "distributed.comm.tls.ca-file", "cert": "distributed.comm.tls.client.cert"}


class SchedulerClient(Client):  # type: ignore[misc]
    """A Dask client that disconnects only in `disconnect`.

    Dask's own client closes itself when it is garbage collected, and then waits for a lock of all clients.
    The collector runs in any thread at any time. Where the next client starts, that thread itself holds the
    lock, and would wait for itself.
    """

    def start(self, **options: object) -> None:
        """Connect. After a failure, disconnect at once: Dask would leave that to the garbage collector."""
        with ExitStack() as undo:
            undo.callback(self.disconnect)
            super().start(**options)
            undo.pop_all()

    def disconnect(self) -> None:
        """Close the connection, and end the thread of its event loop. Idempotent."""
        with suppress(*UNAVAILABLE):
            self.close(timeout=_CLOSE_SECONDS)
        self._loop_runner.stop()  # `close` does not do it when it fails, or when connecting has failed
        _close_streams(self._loop_runner._loop)

    def __exit__(self, *_: object) -> None:
        """Disconnect."""
        self.disconnect()

    def __del__(self) -> None:
        """Do nothing, unlike Dask's own client."""


def connect(scheduler: str) -> SchedulerClient:
    """A client of the scheduler at that address.

    Raises OSError when none answers in seconds, TlsProblem when the reason is in the TLS configuration. Dask
    asserts that the scheduler's greeting comes alone. It does not when another client cancels a task at that
    moment.
    """
    if scheduler.startswith(("tls:", "wss:")):
        _require_certificates(scheduler)
    try:
        return SchedulerClient(scheduler, timeout=ANSWER_SECONDS, set_as_default=False)
    except AssertionError as error:
        raise ConnectionError("the scheduler's greeting came with other messages") from error
    except OSError as error:
        if isinstance(error.__cause__, ssl.SSLError):
            why = f"a TLS connection that the scheduler at {scheduler} and this daemon both accept"
            raise TlsProblem(f"{why} ({error.__cause__})") from error
        raise


def _close_streams(loop: AsyncIOLoop | None) -> None:
    """Close the connections that an event loop watched until it ended.

    Nothing else does. When connecting is cancelled just as it succeeds, as by a timeout, Tornado (6.6)
    forgets the stream. The loop alone keeps it then, and it would become garbage with its socket open.
    """
    if loop is None or not loop.asyncio_loop.is_closed():
        return
    for _, handler in list(loop.handlers.values()):
        if isinstance(stream := getattr(handler, "__self__", None), IOStream):
            with suppress(RuntimeError):  # the socket is closed; nothing can wait for it without a loop
                stream.close()


def _require_certificates(scheduler: str) -> None:
    """Raise TlsProblem where Dask's configuration names no certificates; Dask itself raises a TypeError."""
    configured = Security().get_tls_config_for_role("client")
    missing = [key for name, key in _TLS_KEYS.items() if not configured[name]]
    if missing:
        why = f"Dask's configuration on this machine lacks {' and '.join(missing)}"
        raise TlsProblem(f"certificates for {scheduler}: {why}")
