"""The threads of each lane. waitress gives every whole request to `Lanes.add_task`."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any

from waitress.channel import HTTPChannel
from waitress.task import ThreadedTaskDispatcher

from backfilld.api.http.request_lanes import LIMITS, FairQueue, Lane, Limits, Pace

log = logging.getLogger(__name__)

REPORT_SECONDS = 60.0
"""How often at most the log has a line about requests that had to wait."""


@dataclass(frozen=True, slots=True)
class _Turn:
    """The first request of a connection. A thread rests after it if its lane has used its share."""

    channel: HTTPChannel
    client: Hashable
    rest_after: Callable[[float], object]

    def service(self) -> None:
        began = time.thread_time()
        self.channel.service()
        self.rest_after(time.thread_time() - began)

    def cancel(self) -> None:
        self.channel.cancel()


class _LaneThreads(ThreadedTaskDispatcher):  # type: ignore[misc]
    """The threads of one lane."""

    def __init__(self, lane: Lane, limits: Limits, on_wait: Callable[[Lane], None]) -> None:
        super().__init__()
        self.queue: FairQueue[_Turn] = FairQueue()
        self._lane = lane
        self._on_wait = on_wait
        self._pace = Pace(limits.share)
        self.stopping = threading.Event()
        self.set_thread_count(limits.threads)

    def start_new_thread(self, target: Callable[[int], None], thread_no: int) -> None:
        name = f"http-{self._lane}-{thread_no}"
        threading.Thread(target=target, name=name, args=(thread_no,), daemon=True).start()

    def add(self, channel: HTTPChannel, client: Hashable) -> None:
        """Queue the first request of a connection."""
        with self.lock:
            self.queue.append(_Turn(channel, client, self._rest_after))
            self.queue_cv.notify()
            idle = len(self.threads) - self.stop_count - self.active_count
            waits = len(self.queue) > idle
        if waits:
            self._on_wait(self._lane)

    def _rest_after(self, used: float) -> None:
        if rest := self._pace.rest_after(used):
            self.stopping.wait(rest)


class Lanes:
    """The dispatcher of the server: one pool of threads per lane."""

    def __init__(self, place: Callable[[HTTPChannel], tuple[Lane, Hashable]]) -> None:
        """`place` returns the lane of a connection's first request, and the client whose turn it takes."""
        self._place = place
        self._waits = WaitLog()
        self._threads: Mapping[Lane, _LaneThreads] = {
            lane: _LaneThreads(lane, limits, self._waits.count) for lane, limits in LIMITS.items()
        }

    def add_task(self, channel: HTTPChannel) -> None:
        """Queue the first request of a connection in its lane."""
        lane, client = self._place(channel)
        self._threads[lane].add(channel, client)

    def shutdown(self, cancel_pending: bool = True, timeout: float = 5.0) -> Any:
        """End the threads, within `timeout` seconds for each lane whose threads are still busy."""
        self.hurry()
        for threads in self._threads.values():
            threads.set_thread_count(0)
        for threads in self._threads.values():
            threads.shutdown(cancel_pending, timeout)

    def hurry(self) -> None:
        """Rest no more: the server closes."""
        for threads in self._threads.values():
            threads.stopping.set()


class WaitLog:
    """Logs how many requests had to wait for a thread, once per REPORT_SECONDS."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._counts: dict[Lane, int] = {}
        self._next_at = now() + REPORT_SECONDS

    def count(self, lane: Lane) -> None:
        """Count a request that has to wait."""
        with self._lock:
            self._counts[lane] = self._counts.get(lane, 0) + 1
            if self._now() < self._next_at:
                return
            counts, self._counts = self._counts, {}
            self._next_at = self._now() + REPORT_SECONDS
        text = ", ".join(f"{n} of kind {lane}" for lane, n in counts.items())
        log.info("requests that waited for a thread since the last such line: %s", text)
