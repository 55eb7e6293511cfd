"""Detects steps of the wall clock: it was set, or the machine was suspended. Limits must not count them."""

from __future__ import annotations

import threading
from collections.abc import Callable

STEP_SECONDS = 30.0
"""Differences up to this between two polls are drift or slewing, which NTP keeps far below it."""
POLL_SECONDS = 1.0


class ClockStepDetector:
    """Compares the wall clock `now` with the monotonic clock `steady`. Not thread-safe."""

    def __init__(self, now: Callable[[], float], steady: Callable[[], float]) -> None:
        self._now = now
        self._steady = steady
        self._offset = now() - steady()

    def poll(self) -> float:
        """Seconds by which the clock was set forward since the last poll, negative for back; usually 0."""
        before, self._offset = self._offset, self._now() - self._steady()
        step = self._offset - before
        return step if abs(step) > STEP_SECONDS else 0.0


class ClockMonitor:
    """Polls once a second in its own thread and calls `on_step(seconds)` when the clock was set."""

    def __init__(self, detector: ClockStepDetector, on_step: Callable[[float], None]) -> None:
        self._detector = detector
        self._on_step = on_step
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="clock", daemon=True)

    def start(self) -> None:
        """Start polling."""
        self._thread.start()

    def stop(self) -> None:
        """Stop polling; idempotent."""
        self._stopping.set()

    def _watch(self) -> None:
        while not self._stopping.wait(POLL_SECONDS):
            if step := self._detector.poll():
                self._on_step(step)
