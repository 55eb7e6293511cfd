"""Windows at work: which processors may start no job now, why, and when they may."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache

from backfilld.daemon.engine.context import EngineContext
from backfilld.state.formatting import format_duration, format_utc
from backfilld.state.pipeline.processor import Processor
from backfilld.state.rules.closed_hours import Closed, Delay, delay, open_seconds
from backfilld.state.store import attempts
from backfilld.state.store.database import Transaction

# Most processors have the same windows: what these allow at one moment is computed once for all of them.
_delay = lru_cache(delay)
_open_seconds = lru_cache(open_seconds)


class WindowReader:
    """The windows of all processors at one moment."""

    def __init__(self, tx: Transaction, context: EngineContext) -> None:
        self._tx = tx
        self._pipeline = context.pipeline
        self._now = context.now()

    def closed(self) -> Mapping[str, Closed]:
        """The processors that may start no job now, each with the reason and the time of its opening."""
        found = {}
        for name, windows in self._pipeline.windows_of.items():
            processor = self._pipeline.processors[name]
            if wait := _delay(windows, seconds=0.0, now=self._now):
                found[name] = Closed(
                    f"the window {wait.closure.window} is closed; {_until(wait)}", wait.until
                )
            elif wait := _delay(windows, seconds=self._usual_seconds(processor), now=self._now):
                found[name] = Closed(self._too_long(processor, wait), wait.until)
        return found

    def dates_that_fit(self, processor: Processor) -> int:
        """How many dates an attempt may take to end before a window closes: 1 to `batch`, or the period."""
        windows, timeout = self._pipeline.windows_of.get(processor.name, ()), processor.timeout
        usual = self._usual_seconds(processor)
        if processor.attempt_period or processor.batch == 1 or not usual:
            return processor.dates_per_attempt
        fitting = math.floor(_open_seconds(windows, most=timeout, now=self._now) / usual)
        return min(max(fitting, 1), processor.batch)

    def _usual_seconds(self, processor: Processor) -> float:
        """How long a job usually takes, in seconds; 0 where no window closes within its timeout.

        A job for one date, or for a whole period. No job takes longer than its timeout, so the past attempts
        are read only shortly before a closing.
        """
        windows = self._pipeline.windows_of.get(processor.name, ())
        if _open_seconds(windows, most=processor.timeout, now=self._now) >= processor.timeout:
            return 0.0
        past = attempts.typical_seconds(self._tx, processor.name)
        usual = processor.estimate if past is None else past
        dates_at_least = processor.dates_per_attempt if processor.attempt_period else 1
        return min((usual or 0.0) * dates_at_least, processor.timeout)

    def _too_long(self, processor: Processor, wait: Delay) -> str:
        usual = format_duration(self._usual_seconds(processor))
        closes = format_utc(wait.closure.start)
        why = f"closes at {closes}, and {processor.name} usually takes {usual}"
        return f"the window {wait.closure.window} {why}; {_until(wait)}"


def _until(wait: Delay) -> str:
    if wait.until is None:
        return "it is never open for that long; give it more hours in the pipeline file"
    return f"it opens at {format_utc(wait.until)}"
