"""Rate limit: a token bucket for each client."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

BURST_SECONDS = 10.0
"""A burst may have as many requests as the rate allows in this time."""
MAX_CLIENTS = 10_000
"""Number of buckets kept; the least recently used one is dropped first."""


@dataclass(slots=True)
class TokenBuckets:
    """A bucket for each client, refilled at `rate` requests a second."""

    rate: float
    now: Callable[[], float] = time.monotonic
    _buckets: dict[Hashable, tuple[float, float]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, client: Hashable) -> float:
        """Take a token of the client. Returns 0, or the seconds until one is available."""
        burst = self.rate * BURST_SECONDS
        with self._lock:
            now = self.now()
            tokens, updated_at = self._buckets.pop(client, (burst, now))
            tokens = min(burst, tokens + (now - updated_at) * self.rate)
            allowed = tokens >= 1
            self._buckets[client] = (tokens - 1 if allowed else tokens, now)
            if len(self._buckets) > MAX_CLIENTS:
                del self._buckets[next(iter(self._buckets))]
        return 0.0 if allowed else (1 - tokens) / self.rate
