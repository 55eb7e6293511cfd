"""The listening socket of the API. It outlives a reload: requests wait meanwhile, and none is refused."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import MutableMapping

from backfilld.daemon.settings import SettingsError

VARIABLE = "BACKFILLD_LISTEN_FD"
"""PID:DESCRIPTOR of the listening socket, for the program that this process executes at a reload."""


def bind(host: str, port: int) -> socket.socket:
    """A socket on the first address of a name.

    Raises:
        SettingsError: the address is in use or does not belong to this machine.
    """
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


def hand_over(listening: socket.socket) -> dict[str, str]:
    """Let the next program of this process inherit the socket. Returns the variable that names it."""
    listening.set_inheritable(True)
    return {VARIABLE: f"{os.getpid()}:{listening.fileno()}"}


def inherited(environment: MutableMapping[str, str] = os.environ) -> socket.socket | None:
    """The socket that the previous program of this process handed over; None without one.

    Removes the variable from the environment, and keeps the socket from jobs. A variable of another process
    is ignored: it may come from a daemon that started this one.
    """
    pid, _, descriptor = environment.pop(VARIABLE, "").partition(":")
    if pid != str(os.getpid()) or not descriptor.isdecimal():
        return None
    listening = socket.socket(fileno=int(descriptor))
    listening.set_inheritable(False)
    return listening
