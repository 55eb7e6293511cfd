"""Lanes: the kinds of requests, each with threads and limits of its own, so that no kind waits for another.

Readers cost only readers: their lanes may use a share of one core; a request on top of that waits.
"""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Generic, Protocol, TypeVar

BURST_SECONDS = 1.0
"""Seconds of processor time that a lane may use at once before its share counts."""
LONGEST_REST = 0.5
"""Seconds that a thread rests at most before it serves the next request."""


class Lane(StrEnum):
    """A kind of request."""

    LIVENESS = "liveness"
    """Whether the daemon lives, which it says whatever its state database does."""
    PROBE = "probe"
    """Readiness and metrics, which read the state database."""
    STEER = "steer"
    """Changes by operators."""
    ENQUEUE = "enqueue"
    """Changes of many dates, which take long."""
    READ = "read"
    """Pages and lists, and whatever a client without the scope `operate` sends."""
    REPORT = "report"
    """Reports that query the warehouse, and logs."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The threads of a lane, and the share of one core that they may use together; 1 for no limit."""

    threads: int
    share: float = 1.0


LIMITS: Mapping[Lane, Limits] = {
    Lane.LIVENESS: Limits(threads=1, share=0.1),
    Lane.PROBE: Limits(threads=2, share=0.1),
    Lane.STEER: Limits(threads=2),
    Lane.ENQUEUE: Limits(threads=1, share=0.3),
    Lane.READ: Limits(threads=2, share=0.1),
    Lane.REPORT: Limits(threads=6, share=0.15),  # more than reports run at once: the others are logs
}

_READ_METHODS = ("GET", "HEAD")
_LIVENESS = ("/livez", "/healthz")
_PROBES = ("/readyz", "/metrics")
UNLIMITED = (Lane.LIVENESS, Lane.PROBE)
"""The lanes whose requests have no limit per client."""
_BULK = ("/v1/backfills", "/v1/dates/retry", "/v1/dates/accept", "/grid", "/dates")
_REPORTS = re.compile(
    r"/v1/(validation|plan|plan/comparison|quality|expectations/.*|attempts/[^/]*/log)|/(enqueue|validation)"
)


def lane_of(method: str, path: str, *, operator: bool) -> Lane:
    """The lane of a request. `operator`: its client has the scope `operate`."""
    if path in _LIVENESS:
        return Lane.LIVENESS
    if path in _PROBES:
        return Lane.PROBE
    if method not in _READ_METHODS and operator:
        return Lane.ENQUEUE if path in _BULK else Lane.STEER
    return Lane.REPORT if _REPORTS.fullmatch(path) else Lane.READ


class Task(Protocol):
    """A task with the client that sent it."""

    @property
    def client(self) -> Hashable:
        """Whose turn it takes."""


TaskT = TypeVar("TaskT", bound=Task)


class FairQueue(Generic[TaskT]):
    """A queue with one turn per client: no client waits for the many requests of another.

    It has the methods of `deque` that a dispatcher of waitress calls. Its caller holds a lock.
    """

    def __init__(self) -> None:
        self._by_client: dict[Hashable, deque[TaskT]] = {}

    def append(self, task: TaskT) -> None:
        """Add a task behind the others of its client."""
        self._by_client.setdefault(task.client, deque()).append(task)

    def popleft(self) -> TaskT:
        """Remove and return the first task of the client whose turn it is."""
        client = next(iter(self._by_client))
        tasks = self._by_client.pop(client)
        task = tasks.popleft()
        if tasks:
            self._by_client[client] = tasks
        return task

    def __len__(self) -> int:
        """The number of tasks."""
        return sum(len(tasks) for tasks in self._by_client.values())


@dataclass(slots=True)
class Pace:
    """Bounds the processor time of a lane: a bucket of seconds, refilled at `share` seconds a second."""

    share: float
    now: Callable[[], float] = time.monotonic
    _credit: float = BURST_SECONDS
    _updated_at: float | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def rest_after(self, used: float) -> float:
        """Seconds to rest after a request that used `used` seconds of processor time."""
        if self.share >= 1:
            return 0.0
        with self._lock:
            now = self.now()
            since = 0.0 if self._updated_at is None else now - self._updated_at
            self._credit = min(BURST_SECONDS, self._credit + since * self.share) - used
            self._updated_at = now
            return min(max(-self._credit, 0.0) / self.share, LONGEST_REST)
