"""What systemd is told of this process, by sd_notify(3): ready, stopping, and that the engine comes round.

The protocol is one datagram for each message, to the socket that NOTIFY_SOCKET names.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import MutableMapping
from contextlib import suppress

_SEND_SECONDS = 10.0
_BEATS = 4
"""A beat each quarter of the watchdog's time: a turn may take another quarter, and half of it is left."""


class Manager:
    """The service manager that started this process; without one, nothing is sent and nothing fails."""

    def __init__(self, environment: MutableMapping[str, str] = os.environ) -> None:
        """Takes its variables out of the environment, so that no child can speak in our name."""
        address = environment.pop("NOTIFY_SOCKET", "")
        microseconds = environment.pop("WATCHDOG_USEC", "")
        pid = environment.pop("WATCHDOG_PID", "") or str(os.getpid())
        # An @ stands for the zero byte of Linux's abstract names.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        within = int(microseconds) / 1e6 if microseconds.isdecimal() else 0.0
        watched = bool(address) and within > 0 and pid == str(os.getpid())
        self.beat_seconds = within / _BEATS if watched else None
        """How often `beat` is to be called at least; None where no watchdog waits for it."""
        self._next_beat = 0.0

    def status(self, text: str) -> None:
        """One line that `systemctl status` shows."""
        self._send(f"STATUS={text}")

    def ready(self, text: str) -> None:
        """Recovery is over, and requests are taken."""
        self._send(f"READY=1\nSTATUS={text}")

    def stopping(self, text: str) -> None:
        """The end has begun."""
        self._send(f"STOPPING=1\nSTATUS={text}")

    def beat(self) -> None:
        """Feed the watchdog; to be called by what it watches, as often as that comes round."""
        if self.beat_seconds is None or time.monotonic() < self._next_beat:
            return
        self._next_beat = time.monotonic() + self.beat_seconds
        self._send("WATCHDOG=1")

    def _send(self, message: str) -> None:
        """A manager that does not listen is no reason to stop working."""
        if not self._address:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.settimeout(_SEND_SECONDS)
            sender.connect(self._address)
            sender.sendall(message.encode())
