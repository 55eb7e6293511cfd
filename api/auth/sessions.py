"""Browser sessions, so that a page never has the token: the cookie is only a random id.

Sessions are kept in memory, as hashes, instead of signed cookies: a logout ends a session at once, nothing
is on disk, and there is no signing key to protect. A restart of the daemon ends all sessions.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from backfilld.api.auth.tokens import Token, digest

LIFETIME_SECONDS = 12 * 3600.0
MAX_SESSIONS = 1000
"""Concurrent sessions; one more ends the oldest."""


@dataclass(frozen=True, slots=True)
class _Session:
    token: bytes
    ends_at: float


class Sessions:
    """Open sessions. A session is valid for at most as long as the token that opened it."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._open: dict[bytes, _Session] = {}

    def begin(self, token: Token) -> str:
        """Open a session. Returns its id, for the cookie."""
        text = secrets.token_urlsafe(32)
        with self._lock:
            if len(self._open) >= MAX_SESSIONS:
                del self._open[next(iter(self._open))]
            self._open[digest(text)] = _Session(token.digest, self._now() + LIFETIME_SECONDS)
        return text

    def find(self, text: str) -> bytes | None:
        """The digest of the token that opened the session; None if the session is unknown or expired."""
        with self._lock:
            session = self._open.get(digest(text))
        return session.token if session is not None and self._now() < session.ends_at else None

    def end(self, text: str) -> None:
        """End a session, if it is open."""
        with self._lock:
            self._open.pop(digest(text), None)
