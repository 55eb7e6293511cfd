"""How often somebody may ask: a token bucket for each client."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

BURST_SECONDS = 10.0
"""How many seconds' worth of requests may come at once."""
MOST = 10_000
"""Clients remembered; who has not asked for longest is forgotten first."""


@dataclass(slots=True)
class TokenBuckets:
    """A bucket for each client, refilled at `rate` requests a second."""

    rate: float
    now: Callable[[], float] = time.monotonic
    _left: dict[Hashable, tuple[float, float]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, client: Hashable) -> float:
        """Take one request out of a client's bucket: 0, or the seconds until there is one again."""
        burst = self.rate * BURST_SECONDS
        with self._lock:
            now = self.now()
            left, at = self._left.pop(client, (burst, now))
            left = min(burst, left + (now - at) * self.rate)
            allowed = left >= 1
            self._left[client] = (left - 1 if allowed else left, now)
            if len(self._left) > MOST:
                del self._left[next(iter(self._left))]
        return 0.0 if allowed else (1 - left) / self.rate
