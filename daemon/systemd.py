"""Notifies systemd (sd_notify(3)) that the daemon is ready, reloads or stops, and that its engine is alive.

The protocol is one datagram per message to the socket named by NOTIFY_SOCKET.
"""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import MutableMapping
from contextlib import suppress
from pathlib import Path

_VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
_SEND_SECONDS = 10.0
_BEATS = 4
"""Beats per watchdog interval. One tick may take another quarter of it, which leaves half as a margin."""


class Manager:
    """The service manager that started this process. Without one, nothing is sent and nothing fails."""

    def __init__(self, environment: MutableMapping[str, str] = os.environ) -> None:
        """Remove its variables from the environment, so that no job can send notifications for the daemon."""
        self.variables = {name: environment.pop(name) for name in _VARIABLES if name in environment}
        """The removed variables, for a new program in this process."""
        address = self.variables.get("NOTIFY_SOCKET", "")
        microseconds = self.variables.get("WATCHDOG_USEC", "")
        pid = self.variables.get("WATCHDOG_PID", "") or str(os.getpid())
        # A leading @ means the zero byte of an abstract socket name.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        within = int(microseconds) / 1e6 if microseconds.isdecimal() else 0.0
        watched = bool(address) and within > 0 and pid == str(os.getpid())
        self.beat_seconds = within / _BEATS if watched else None
        """The longest allowed time between calls of `beat`, in seconds; None without a watchdog."""
        self._next_beat = 0.0
        self.unit = _unit() if address else ""
        """The name of the service, such as `backfilld@nba.service`; empty without a service manager."""

    def status(self, text: str) -> None:
        """Set the line that `systemctl status` shows."""
        self._send(f"STATUS={text}")

    def ready(self, text: str) -> None:
        """Report that recovery is over and requests are accepted."""
        self._send(f"READY=1\nSTATUS={text}")

    def reloading(self, text: str) -> None:
        """Report that the pipeline file is being read again; `ready` ends that.

        systemd compares the time with its own clock to tell this reload from an earlier one.
        """
        now = time.monotonic_ns() // 1000
        self._send(f"RELOADING=1\nMONOTONIC_USEC={now}\nSTATUS={text}")

    def stopping(self, text: str) -> None:
        """Report that the daemon is shutting down."""
        self._send(f"STOPPING=1\nSTATUS={text}")

    def beat(self) -> None:
        """Feed the watchdog. The watched loop calls this in every iteration."""
        if self.beat_seconds is None or time.monotonic() < self._next_beat:
            return
        self._next_beat = time.monotonic() + self.beat_seconds
        self._send("WATCHDOG=1")

    def _send(self, message: str) -> None:
        """Send one message. A service manager that does not listen is ignored."""
        if not self._address:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.settimeout(_SEND_SECONDS)
            sender.connect(self._address)
            sender.sendall(message.encode())


def _unit() -> str:
    """The service in whose control group this process is."""
    with suppress(OSError):
        group = Path("/proc/self/cgroup").read_text("utf-8")
        if found := re.search(r"/([^/\n]+\.service)(?:/|$)", group, re.MULTILINE):
            return found[1]
    return "the service"
