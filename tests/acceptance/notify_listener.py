"""The service manager's end of the socket of sd_notify(3)."""

from __future__ import annotations

import socket
import threading
import time

from tests.timeouts import PATIENCE


class Listener:
    """The socket that NOTIFY_SOCKET names, read at once as systemd does, and the lines that came to it."""

    def __init__(self, path):
        self.lines = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self):
        while said := self._socket.recv(4096):
            self.lines += said.decode().splitlines()

    def within(self, seconds):
        """The lines that come from now on, for some seconds."""
        before = len(self.lines)
        time.sleep(seconds)
        return self.lines[before:]

    def wait_for(self, line):
        """Wait until a line has come since `lines` was cleared."""
        end = time.monotonic() + PATIENCE
        while line not in self.lines:
            assert time.monotonic() < end, f"no {line} among {self.lines}"
            time.sleep(0.02)

    def close(self):
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()
