"""Notices when the clock is set, or the machine was suspended: no limit must believe such a leap."""

from __future__ import annotations

import threading
from collections.abc import Callable

STEP_SECONDS = 30.0
"""What the clock may gain or lose between two looks; whatever corrects it gently stays far below."""
POLL_SECONDS = 1.0


class ClockStepDetector:
    """Compares the clock `now` with one that nobody sets. Not to be shared between threads."""

    def __init__(self, now: Callable[[], float], steady: Callable[[], float]) -> None:
        self._now = now
        self._steady = steady
        self._ahead = now() - steady()

    def look(self) -> float:
        """How many seconds the clock was set forward since the last look, back if below 0; usually 0."""
        before, self._ahead = self._ahead, self._now() - self._steady()
        leap = self._ahead - before
        return leap if abs(leap) > STEP_SECONDS else 0.0


class ClockMonitor:
    """Looks every second, in a thread of its own, and calls `leapt` when the clock was set."""

    def __init__(self, leaps: ClockStepDetector, leapt: Callable[[float], None]) -> None:
        self._clock_steps = leaps
        self._leapt = leapt
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="clock", daemon=True)

    def start(self) -> None:
        """Watch from now on."""
        self._thread.start()

    def stop(self) -> None:
        """End the watch; idempotent."""
        self._stopping.set()

    def _watch(self) -> None:
        while not self._stopping.wait(POLL_SECONDS):
            if leap := self._clock_steps.look():
                self._leapt(leap)
