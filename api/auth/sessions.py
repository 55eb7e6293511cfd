"""Sessions of browsers, so that a page never holds a token: the cookie is a random id and nothing else.

They are kept in memory, as hashes, rather than signed into the cookie: a logout ends one for good, nothing
on disk can be stolen, and there is no key to guard. A restart of the daemon ends them all.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from backfilld.api.auth.tokens import Token, digest

LIFETIME_SECONDS = 12 * 3600.0
MOST = 1000
"""Sessions at once; the oldest ends when there would be more."""


@dataclass(frozen=True, slots=True)
class _Session:
    token: bytes
    ends_at: float


class Sessions:
    """Who has logged in. A session lasts no longer than the token that opened it."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._open: dict[bytes, _Session] = {}

    def begin(self, token: Token) -> str:
        """Open a session; its id, for the cookie."""
        text = secrets.token_urlsafe(32)
        with self._lock:
            if len(self._open) >= MOST:
                del self._open[next(iter(self._open))]
            self._open[digest(text)] = _Session(token.digest, self._now() + LIFETIME_SECONDS)
        return text

    def find(self, text: str) -> bytes | None:
        """The digest of the token that opened the session, while it lasts."""
        with self._lock:
            session = self._open.get(digest(text))
        return session.token if session is not None and self._now() < session.ends_at else None

    def end(self, text: str) -> None:
        """End a session; one that is not open is ended already."""
        with self._lock:
            self._open.pop(digest(text), None)
