"""Ports of this machine for servers that tests start as processes of their own."""

import atexit
import socket


def free_port() -> int:
    """A port where nobody listens, and that nobody is given by chance while this process lives.

    It stays bound here. Linux lets a server share it that sets SO_REUSEADDR, as all of ours do.
    """
    probe = socket.socket()
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    probe.bind(("127.0.0.1", 0))
    atexit.register(probe.close)
    return int(probe.getsockname()[1])
